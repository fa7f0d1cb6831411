import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import type { DatasetItem, DatasetOptions } from '../../src/datasets/contract.js'
import { openDataset, scanDataset } from '../../src/datasets/open.js'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-folder-'))
})
afterEach(async () => {
  await rm(root, { recursive: true, force: true })
})

async function put(...paths: (string | Buffer)[]): Promise<void> {
  for (const path of paths) {
    if (typeof path === 'string') {
      await mkdir(dirname(join(root, path)), { recursive: true })
      await writeFile(join(root, path), `bytes of ${path}`)
    } else await writeFile(Buffer.concat([Buffer.from(`${root}/`), path]), 'bytes')
  }
}

async function items(options: DatasetOptions = {}, path = root): Promise<DatasetItem[]> {
  const all: DatasetItem[] = []
  for await (const item of (await openDataset(path, options)).items()) all.push(item)
  return all
}
const broken = (item: DatasetItem | undefined): string | undefined =>
  item?.load.kind === 'broken' ? item.load.code : undefined

describe('a folder of images', () => {
  it('takes first-level folders as labels, in byte order of the whole path', async () => {
    await put(
      'b/1.jpg',
      'a/z.PNG',
      'a/b/deep.webp',
      'a.jpg',
      'a-b/1.jpeg',
      'Z/x.tiff',
      'é/1.gif',
      'notes.txt',
      'b/data.csv',
    )
    await put('.hidden/1.jpg', 'b/.2.jpg')
    const dataset = await openDataset(root)
    expect(dataset).toMatchObject({ source: 'folder', layout: 'labels' })
    expect(dataset.decision).toContain('5 folders (Z, a, a-b, b, é)')
    const found = await items()
    expect(found.map((item) => [item.path, item.label])).toEqual([
      ['Z/x.tiff', 'Z'],
      ['a-b/1.jpeg', 'a-b'],
      ['a.jpg', undefined],
      ['a/b/deep.webp', 'a'],
      ['a/z.PNG', 'a'],
      ['b/1.jpg', 'b'],
      ['é/1.gif', 'é'],
    ])
    const bytes = found.map((item) => Buffer.from(item.path))
    expect([...bytes].sort(Buffer.compare)).toEqual(bytes)
    expect(found[5]).toEqual({
      id: 'b/1.jpg',
      path: 'b/1.jpg',
      size: 16,
      label: 'b',
      load: { kind: 'file', path: join(root, 'b/1.jpg') },
    })
    await scanDataset(dataset)
    expect(dataset.notes()).toEqual(['2 files that are no images by their names were passed over.'])
  })

  it('names the labels whose folders hold no image', async () => {
    await put(
      'train/cat/1.jpg',
      'train/dog/readme.md',
      'train/emu/more/readme.md',
      'val/cat/2.jpg',
      'val/dog/readme.md',
    )
    const dataset = await openDataset(root)
    await scanDataset(dataset)
    expect(dataset.emptyLabels()).toEqual(['dog', 'emu'])
    await put('val/dog/3.jpg', 'train/emu/more/4.jpg')
    await scanDataset(dataset)
    expect(dataset.emptyLabels()).toEqual([])
    const labels = await openDataset(join(root, 'val'))
    await rm(join(root, 'val', 'cat', '2.jpg'))
    await scanDataset(labels)
    expect(labels.emptyLabels()).toEqual(['cat'])
  })

  it('keeps files of one name in different folders apart', async () => {
    await put('cat/1.jpg', 'dog/1.jpg')
    expect(new Set((await items()).map((item) => item.id)).size).toBe(2)
  })

  it('reads splits when every folder is one, train is there, and all hold folders', async () => {
    await put(
      'Training/cat/1.jpg',
      'Training/dog/1.jpg',
      'VALID/cat/2.jpg',
      'testing/cat/3.jpg',
      'testing/loose.jpg',
      'root.jpg',
    )
    const dataset = await openDataset(root)
    expect(dataset.layout).toBe('splits')
    expect((await items()).map((item) => [item.path, item.split, item.label])).toEqual([
      ['Training/cat/1.jpg', 'train', 'cat'],
      ['Training/dog/1.jpg', 'train', 'dog'],
      ['VALID/cat/2.jpg', 'val', 'cat'],
      ['root.jpg', undefined, undefined],
      ['testing/cat/3.jpg', 'test', 'cat'],
      ['testing/loose.jpg', 'test', undefined],
    ])
    expect((await items({ layout: 'labels' }))[0]).toMatchObject({ label: 'Training' })
    expect((await items({ layout: 'labels' }))[0]).not.toHaveProperty('split')
  })

  it.each([
    ['another folder beside them', ['train/a/1.jpg', 'test/a/1.jpg', 'extra/a/1.jpg'], 'labels'],
    ['no train folder', ['val/a/1.jpg', 'test/a/1.jpg'], 'labels'],
    ['a split without folders', ['train/a/1.jpg', 'test/1.jpg'], 'labels'],
    ['a hidden folder beside them', ['train/a/1.jpg', 'test/a/1.jpg', '.git/a/1.jpg'], 'splits'],
    ['train alone', ['train/a/1.jpg'], 'splits'],
  ])('%s: %j is read as %s', async (_title, paths, layout) => {
    await put(...paths)
    expect((await openDataset(root)).layout).toBe(layout)
  })

  it('takes groups from paths', async () => {
    await put('yes/patient12_a.jpg', 'yes/patient12_b.jpg', 'no/other.jpg')
    const found = await items({ groupFrom: '(patient\\d+)' })
    expect(found.map((item) => item.group)).toEqual([undefined, 'patient12', 'patient12'])
    await expect(openDataset(root, { groupFrom: '(' })).rejects.toMatchObject({ code: 'USAGE_GROUP_FROM' })
    await expect(openDataset(root, { groupFrom: 'patient' })).rejects.toMatchObject({ code: 'USAGE_GROUP_FROM' })
  })

  it('lists what cannot be an image with a reason, and hangs on nothing', async () => {
    const outside = await mkdtemp(join(tmpdir(), 'fc7-outside-'))
    try {
      await put('cat/ok.jpg', 'dog/ok.jpg')
      await writeFile(join(outside, 'secret.jpg'), 'x')
      await mkdir(join(root, 'cat/folder.jpg'))
      await symlink('nowhere', join(root, 'cat/gone.jpg'))
      await symlink('round.jpg', join(root, 'cat/round.jpg'))
      await symlink('..', join(root, 'cat/up'))
      await symlink(join(outside, 'secret.jpg'), join(root, 'cat/leak.jpg'))
      await symlink(outside, join(root, 'wide'))
      await symlink('../dog', join(root, 'cat/more'))
      await symlink('ok.jpg', join(root, 'cat/same.jpg'))
      const found = new Map((await items()).map((item) => [item.path, item]))
      expect(broken(found.get('cat/folder.jpg'))).toBe('IS_FOLDER')
      expect(broken(found.get('cat/gone.jpg'))).toBe('BROKEN_LINK')
      expect(broken(found.get('cat/round.jpg'))).toBe('LINK_LOOP')
      expect(broken(found.get('cat/up'))).toBe('LINK_LOOP')
      expect(broken(found.get('cat/leak.jpg'))).toBe('OUTSIDE_ROOT')
      expect(broken(found.get('wide'))).toBe('OUTSIDE_ROOT')
      expect(found.get('cat/more/ok.jpg')).toMatchObject({ label: 'cat', load: { kind: 'file' } })
      expect(found.get('cat/same.jpg')).toMatchObject({ size: 19 })
      const wide = new Map((await items({ allowOutside: true })).map((item) => [item.path, item]))
      expect(wide.get('wide/secret.jpg')).toMatchObject({ size: 1, label: 'wide', load: { kind: 'file' } })
      expect(broken(wide.get('cat/leak.jpg'))).toBeUndefined()
    } finally {
      await rm(outside, { recursive: true, force: true })
    }
  })

  it('survives links that multiply', async () => {
    // Each level links twice into the next: 2^20 paths if nobody stopped.
    for (let i = 0; i < 20; i++) await mkdir(join(root, `level${i}`))
    for (let i = 0; i < 19; i++) {
      await symlink(`../level${i + 1}`, join(root, `level${i}/a`))
      await symlink(`../level${i + 1}`, join(root, `level${i}/b`))
    }
    await put('level19/x.jpg')
    const found = await items()
    expect(found.length).toBeLessThan(20_000)
    expect(found.some((item) => broken(item) === 'TOO_DEEP')).toBe(true)
  })

  it('takes names with newlines and names that are not UTF-8', async () => {
    await mkdir(join(root, 'cat'))
    await put('cat/two\nlines.jpg', Buffer.from([0x63, 0x61, 0x74, 0x2f, 0xff, 0xc3, 0xa9, 0x2e, 0x6a, 0x70, 0x67]))
    const found = await items()
    expect(found.map((item) => item.path)).toEqual(['cat/two\nlines.jpg', 'cat/\\xffé.jpg'])
    const { load, size } = found[1]!
    expect(size).toBe(5)
    expect(load.kind === 'file' && load.path instanceof Uint8Array).toBe(true)
  })

  it('says what is wrong with a missing folder, an empty one, and an unknown file', async () => {
    await expect(openDataset(join(root, 'none'))).rejects.toMatchObject({ code: 'DATASET_MISSING' })
    await expect(items()).rejects.toMatchObject({ code: 'DATASET_EMPTY', hint: expect.stringContaining('.jpg') })
    await put('notes.txt', 'one.png')
    await expect(openDataset(join(root, 'notes.txt'))).rejects.toMatchObject({ code: 'DATASET_UNKNOWN' })
    expect(await items({}, join(root, 'one.png'))).toMatchObject([{ id: 'one.png', load: { kind: 'file' } }])
  })

  it('stops when interrupted', async () => {
    await put('a/1.jpg', 'a/2.jpg')
    const controller = new AbortController()
    const walk = (await openDataset(root)).items(controller.signal)[Symbol.asyncIterator]()
    await walk.next()
    controller.abort()
    await expect(walk.next()).rejects.toMatchObject({ code: 'INTERRUPTED' })
  })

  it('has a fingerprint that everything in it moves', async () => {
    await put('a/1.jpg', 'b/1.jpg')
    const print = async (options: DatasetOptions = {}): Promise<string> =>
      (await scanDataset(await openDataset(root, options))).fingerprint
    const first = await print()
    expect(await print()).toBe(first)
    expect(await print({ layout: 'splits' })).not.toBe(first)
    expect(await print({ groupFrom: '(\\d)' })).not.toBe(first)
    await writeFile(join(root, 'a/1.jpg'), 'other length')
    const second = await print()
    expect(second).not.toBe(first)
    await put('c/1.jpg')
    expect(await print()).not.toBe(second)
    expect(await scanDataset(await openDataset(root))).toMatchObject({
      count: 3,
      unlabelled: 0,
      labels: new Map([
        ['a', 1],
        ['b', 1],
        ['c', 1],
      ]),
    })
    expect((await scanDataset(await openDataset(root), { limit: 2 })).count).toBe(2)
  })

  it('lists a folder without permission', async () => {
    await put('a/1.jpg', 'b/1.jpg')
    await chmod(join(root, 'b'), 0)
    const found = await items()
    await chmod(join(root, 'b'), 0o755)
    // A superuser may read it all the same.
    expect(found.map((item) => [item.path, broken(item)])).toEqual(
      process.getuid?.() === 0
        ? [
            ['a/1.jpg', undefined],
            ['b/1.jpg', undefined],
          ]
        : [
            ['a/1.jpg', undefined],
            ['b', 'FOLDER_UNREADABLE'],
          ],
    )
  })
})
