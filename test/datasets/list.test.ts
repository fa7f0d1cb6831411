import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { readCsv } from '../../src/datasets/formats/lines.js'
import { openDataset, scanDataset } from '../../src/datasets/open.js'
import { allItems, brokenCode } from './helpers.js'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-list-'))
  await mkdir(join(root, 'pics'))
  for (const name of ['a.jpg', 'b.jpg', 'odd, "name".jpg']) await writeFile(join(root, 'pics', name), name)
})
afterEach(async () => {
  await rm(root, { recursive: true, force: true })
})

async function list(name: string, content: string | Buffer): Promise<string> {
  const path = join(root, name)
  await writeFile(path, content)
  return path
}

describe('a CSV list', () => {
  it('gives path, label, split, group and box, in the order of the rows', async () => {
    const path = await list(
      'list.csv',
      '\ufeffPath,label,split,group,x,y,w,h\r\npics/b.jpg,bee,Training,g1,,,,\r\n"pics/odd, ""name"".jpg",,VALID,,1,2,30,40.5\r\n\r\npics/a.jpg,7,extra,,0,0,1,1\n',
    )
    const dataset = await openDataset(path)
    expect(dataset.decision).toContain(root)
    expect(await allItems(path)).toEqual([
      {
        id: 'pics/b.jpg',
        path: 'pics/b.jpg',
        size: 5,
        label: 'bee',
        split: 'train',
        group: 'g1',
        load: { kind: 'file', path: join(root, 'pics/b.jpg') },
      },
      expect.objectContaining({
        id: 'pics/odd, "name".jpg#xywh=1,2,30,40.5',
        path: 'pics/odd, "name".jpg',
        split: 'val',
        box: { x: 1, y: 2, w: 30, h: 40.5 },
      }),
      expect.objectContaining({ label: '7', split: 'extra', box: { x: 0, y: 0, w: 1, h: 1 } }),
    ])
  })

  it('takes several boxes of one image, and tells repeated rows apart', async () => {
    const path = await list(
      'l.csv',
      'file_name;class;x;y;w;h\npics/a.jpg;c;0;0;5;5\npics/a.jpg;c;1;1;5;5\npics/a.jpg;c;1;1;5;5\n',
    )
    expect((await allItems(path)).map((item) => item.id)).toEqual([
      'pics/a.jpg#xywh=0,0,5,5',
      'pics/a.jpg#xywh=1,1,5,5',
      'pics/a.jpg#xywh=1,1,5,5#row=2',
    ])
  })

  it('keeps the group of a repeated row', async () => {
    const path = await list('g.csv', 'file_name;class;group\npics/a.jpg;c;p1\npics/a.jpg;c;p2\n')
    expect((await allItems(path)).map(({ id, group }) => [id, group])).toEqual([
      ['pics/a.jpg', 'p1'],
      ['pics/a.jpg#row=1', 'p2'],
    ])
  })

  it('lists what is missing, outside, or has no box, with the reason', async () => {
    const outside = await mkdtemp(join(tmpdir(), 'fc7-out-'))
    await writeFile(join(outside, 'far.jpg'), 'x')
    await symlink(join(outside, 'far.jpg'), join(root, 'pics/leak.jpg'))
    const rows = ['pics/none.jpg', '../x.jpg', join(outside, 'far.jpg'), 'pics/leak.jpg', 'pics', 'pics/a.jpg/b']
    const path = await list(
      'l.tsv',
      `path\tx\ty\tw\th\n${rows.map((row) => `${row}\t\t\t\t`).join('\n')}\npics/a.jpg\t1\t1\t0\t5\n`,
    )
    const inside = await allItems(path)
    expect(inside.map(brokenCode)).toEqual([
      'MISSING',
      'OUTSIDE_ROOT',
      'OUTSIDE_ROOT',
      'OUTSIDE_ROOT',
      'IS_FOLDER',
      'MISSING',
      'BAD_BOX',
    ])
    const allowed = await allItems(path, { allowOutside: true })
    expect(allowed.map((item) => item.load.kind)).toEqual([
      'broken',
      'broken',
      'file',
      'file',
      'broken',
      'broken',
      'broken',
    ])
    await rm(outside, { recursive: true, force: true })
  })

  it.each([
    ['no path column', 'name,label\na,b\n', /line 1: the header names no column "path"/],
    ['another number of fields', 'path,label\npics/a.jpg,x,y\n', /line 2: 3 fields where the header has 2/],
    ['no path in a row', 'path,label\n,x\n', /line 2: it names no path/],
    ['an open quote', 'path\n"pics/a.jpg\n', /line 2: a quote is never closed/],
    ['text after a quote', 'path\n"a"b\n', /line 2: something follows a closing quote/],
    ['bytes that are not UTF-8', Buffer.from([0x70, 0x61, 0x74, 0x68, 0x0a, 0xff, 0x0a]), /UTF-8/],
    ['an endless line', `path\n"${'x'.repeat(1_100_000)}`, /line 2: longer than/],
  ])('refuses %s', async (_title, content, message) => {
    await expect(allItems(await list('l.csv', content))).rejects.toMatchObject({
      code: 'LIST_BROKEN',
      message: expect.stringMatching(message),
    })
  })

  it('is empty when only the header is there', async () => {
    await expect(allItems(await list('l.csv', 'path,label\n'))).rejects.toMatchObject({ code: 'DATASET_EMPTY' })
    await expect(allItems(await list('l.csv', ''))).rejects.toMatchObject({ code: 'DATASET_EMPTY' })
  })

  it('reads quotes and line ends that fall on the edge of a chunk', async () => {
    const rows = Array.from({ length: 9000 }, (_, i) => `"p ""${i}""\r\nx",${i}`)
    const path = await list('big.csv', `path,label\r\n${rows.join('\r\n')}`)
    let n = 0
    for await (const { fields, line } of readCsv(path)) {
      if (n > 0) expect([fields, line]).toEqual([[`p "${n - 1}"\r\nx`, String(n - 1)], 2 * n])
      n++
    }
    expect(n).toBe(9001)
  })

  it('needs little more memory for 200,000 rows than for 2,000', async () => {
    const rows = (count: number): string =>
      `path,label,x,y,w,h\n${Array.from({ length: count }, (_, i) => `pics/a.jpg,label${i % 10},${i},0,5,5`).join('\n')}\n`
    const small = await list('small.csv', rows(2000))
    const large = await list('large.csv', rows(200_000))
    expect(await scanDataset(await openDataset(small))).toMatchObject({ count: 2000 })
    collectGarbage()
    const before = process.memoryUsage()
    let peak = 0
    let count = 0
    let right = 0
    for await (const item of (await openDataset(large)).items()) {
      if (++count % 40_000 === 0) {
        collectGarbage()
        const now = process.memoryUsage()
        peak = Math.max(peak, now.heapUsed + now.arrayBuffers - before.heapUsed - before.arrayBuffers)
      }
      if (item.size === 5) right++
    }
    expect([count, right]).toEqual([200_000, 200_000])
    // Holding the items would take more than 60 MB; the hashes of the ids take 4 MB.
    expect(peak).toBeLessThan(16 << 20)
  })
})

describe('a JSON Lines list', () => {
  it('gives the same fields, with boxes as arrays and no prototype tricks', async () => {
    const path = await list(
      'l.jsonl',
      '{"file_name":"pics/a.jpg","label":3,"box":[1,2,3,4],"group":"g"}\n\n{"path":"pics/b.jpg","label":true,"__proto__":{"split":"test"}}\n',
    )
    const items = await allItems(path)
    expect(items).toMatchObject([
      { id: 'pics/a.jpg#xywh=1,2,3,4', label: '3', group: 'g', box: { x: 1, y: 2, w: 3, h: 4 } },
      { id: 'pics/b.jpg', label: 'true' },
    ])
    expect(items[1]!.split).toBeUndefined()
  })

  it.each([
    ['{"path":', /line 1: it is not JSON/],
    ['["pics/a.jpg"]', /line 1: it is not a JSON object/],
    ['{"label":"x"}', /line 1: it names no path/],
    ['{"path":"a\\u0000b"}', /line 1: it names no path/],
  ])('refuses %s', async (content, message) => {
    await expect(allItems(await list('l.jsonl', content))).rejects.toMatchObject({
      code: 'LIST_BROKEN',
      message: expect.stringMatching(message),
    })
  })
})
