import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { makeTar } from '../base/fetch/servers.js'
import { tinyModel } from '../support/tiny.js'
import { extractWatched, inOrder, writeBadImages } from './bad.js'

const root = mkdtempSync(join(tmpdir(), 'fc7-bad-extract-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

let made: Awaited<ReturnType<typeof writeBadImages>>
beforeAll(async () => {
  writeFileSync(join(root, 'tiny.onnx'), tinyModel())
  made = await writeBadImages(join(root, 'bad'))
}, 30_000)

describe('bad images through the built command: each embedded or listed, none stops the run', () => {
  it('in a folder', async () => {
    const { found } = await extractWatched(root, join(root, 'bad'))
    expect(found.length).toBeGreaterThan(24)
    expect(found).toEqual(inOrder(made.expected))
  }, 60_000)

  it('in a tar: entries that are too large, empty, no image, or longer than the archive', async () => {
    const path = join(root, 'shard.tar')
    const huge = makeTar([
      { name: 'a.jpg', body: made.jpeg },
      { name: 'big.jpg', size: 3 * 1024 ** 3 },
    ]).subarray(0, -1024)
    const rest = makeTar([
      { name: 'b.jpg', body: made.jpeg },
      { name: 'c.jpg' },
      { name: 'd.jpg', body: Buffer.from('no') },
      { name: 'e.jpg', body: made.jpeg, size: 8 ** 11 - 1 },
    ])
    writeFileSync(path, huge)
    // Three gigabytes that take no space on the disk.
    truncateSync(path, huge.length + 3 * 1024 ** 3)
    writeFileSync(path, rest, { flag: 'a' })
    expect((await extractWatched(root, path)).found).toEqual([
      ['shard.tar', 'TAR_BROKEN'],
      ['shard.tar/a.jpg', null],
      ['shard.tar/b.jpg', null],
      ['shard.tar/big.jpg', 'IMAGE_TOO_LARGE'],
      ['shard.tar/c.jpg', 'EMPTY'],
      ['shard.tar/d.jpg', 'IMAGE_NOT_AN_IMAGE'],
    ])
  }, 60_000)
})
