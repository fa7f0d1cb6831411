import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { openDataset, scanDataset } from '../../src/datasets/open.js'
import { makeTar } from '../base/fetch/servers.js'
import { allItems, brokenCode, fixture, imageNumber } from './helpers.js'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-tar-'))
})
afterEach(async () => {
  await rm(root, { recursive: true, force: true })
})

const long = `long/${'n'.repeat(120)}`
const body = (text: string): Buffer => Buffer.from(text)

describe('WebDataset shards', () => {
  it.each(['train-ustar.tar', 'train-pax.tar'])('reads %s as Python wrote it', async (shard) => {
    const dataset = await openDataset(fixture(shard))
    expect(dataset.source).toBe('webdataset')
    const items = await allItems(fixture(shard))
    expect(items.map((item) => [item.path, item.label, item.group, item.split])).toEqual([
      [`${shard}/a/000.png`, '3', undefined, 'train'],
      [`${shard}/a/001.png`, 'cat', 'p1', 'train'],
      [`${shard}/a/002.png`, 'a dog', undefined, 'train'],
      [`${shard}/${long}.png`, '5', undefined, 'train'],
      [`${shard}/é.png`, undefined, undefined, 'train'],
    ])
    expect(items[1]).toMatchObject({ id: `${shard}/a/001.png#xywh=1,1,2,2`, box: { x: 1, y: 1, w: 2, h: 2 } })
    expect(await Promise.all(items.map(imageNumber))).toEqual([0, 1, 2, 4, 5])
    expect(items.every((item) => item.load.kind === 'range' && item.load.length === item.size)).toBe(true)
    await scanDataset(dataset)
    expect(dataset.notes()).toEqual([expect.stringContaining('1 entry')])
  })

  it('reads a folder of shards in order and keeps equal keys apart', async () => {
    await cp(fixture('train-pax.tar'), join(root, 'val-1.tar'))
    await cp(fixture('train-pax.tar'), join(root, 'test_0.tar'))
    const items = await allItems(root)
    expect(items).toHaveLength(10)
    expect(new Set(items.map((item) => item.id)).size).toBe(10)
    expect(items[0]).toMatchObject({ split: 'test', path: 'test_0.tar/a/000.png' })
    expect(items[9]).toMatchObject({ split: 'val' })
  })

  it('lets .cls win over .json, and .json over .txt; several images share a key', async () => {
    const path = join(root, 'x.tar')
    await writeFile(
      path,
      makeTar([
        { name: './k1.jpg', body: body('1') },
        { name: './k1.json', body: body('{"label":"json","split":"val"}') },
        { name: './k1.cls', body: body('cls\n') },
        { name: './k1.right.png', body: body('22') },
        { name: 'k2.json', body: body('{"class":4}') },
        { name: 'k2.txt', body: body('text') },
        { name: 'k2.jpg', body: body('3') },
        { name: '._k2.jpg', body: body('mac') },
        { name: 'k3.jpg', body: body('') },
        { name: 'k4.jpg', body: body('4') },
        { name: 'k4.json', body: body('{broken') },
      ]),
    )
    const items = await allItems(path)
    expect(items.map((item) => [item.path, item.label, item.split, brokenCode(item)])).toEqual([
      ['x.tar/k1.jpg', 'cls', 'val', undefined],
      ['x.tar/k1.right.png', 'cls', 'val', undefined],
      ['x.tar/k2.jpg', '4', undefined, undefined],
      ['x.tar/k3.jpg', undefined, undefined, 'EMPTY'],
      ['x.tar/k4.jpg', undefined, undefined, 'SIDECAR_BROKEN'],
    ])
  })

  it('takes regular files only, and joins no entry’s name to a path', async () => {
    const path = join(root, 'x.tar')
    await writeFile(
      path,
      makeTar([
        { name: 'link.jpg', type: '2', link: '/etc/passwd' },
        { name: 'hard.jpg', type: '1', link: 'a.jpg' },
        { name: 'device.jpg', type: '3' },
        { name: '../../up.jpg', body: body('up') },
      ]),
    )
    expect(await allItems(path)).toMatchObject([{ path: 'x.tar/../../up.jpg', load: { kind: 'range', path } }])
  })

  it('bounds what lies: sizes beyond the file, wrong checksums, huge extended headers, huge sidecars', async () => {
    const good = { name: 'a.jpg', body: body('image') }
    const whole = makeTar([good, { name: 'b.jpg', body: body('more') }])
    const damaged = Buffer.from(whole)
    damaged[1024 + 10] = 99
    const cases: [string, Buffer, string][] = [
      ['lies.tar', makeTar([good, { name: 'b.jpg', body: body('x'), size: 8 ** 11 - 1 }]), 'ends in the middle'],
      ['cut.tar', whole.subarray(0, 1024 + 512 + 2), 'ends in the middle'],
      ['damaged.tar', damaged, 'checksum'],
      ['pax.tar', makeTar([good, { name: 'x', type: 'x', body: Buffer.alloc(2 << 20, 32) }]), 'too large'],
      ['noise.tar', Buffer.alloc(4096, 7), 'checksum'],
    ]
    for (const [name, bytes, message] of cases) {
      const path = join(root, name)
      await writeFile(path, bytes)
      const items = await allItems(path)
      const last = items.at(-1)!
      expect([name, brokenCode(last)]).toEqual([name, 'TAR_BROKEN'])
      expect(last.load.kind === 'broken' && last.load.message).toContain(message)
      if (name !== 'noise.tar') expect(items[0]).toMatchObject({ path: `${name}/a.jpg`, size: 5 })
    }
    const path = join(root, 'side.tar')
    await writeFile(path, makeTar([good, { name: 'a.txt', body: Buffer.alloc((1 << 20) + 1, 97) }]))
    expect((await allItems(path)).map(brokenCode)).toEqual(['SIDECAR_BROKEN'])
  })

  it('goes on with the next shard after a broken one', async () => {
    const whole = await readFile(fixture('train-pax.tar'))
    await writeFile(join(root, 'a.tar'), whole.subarray(0, 3000))
    await writeFile(join(root, 'b.tar'), whole)
    const items = await allItems(root)
    expect(items.filter((item) => brokenCode(item)).map((item) => item.path)).toEqual(['a.tar'])
    expect(items.filter((item) => item.path.startsWith('b.tar/'))).toHaveLength(5)
  })
})
