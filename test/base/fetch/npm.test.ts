import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { fetchSource, type Source } from '../../../src/base/fetch/index.js'
import { makeTar, packTar, serveRegistry, sha512Of, type TestServer } from './servers.js'

const tarball = packTar({
  'package.json': '{"name":"tiny-net","version":"1.2.3"}',
  'model/model.json': '{"weights":1}',
  'model/shard1.bin': 'abc',
  'README.md': 'no',
})
const options = { patience: { stallMs: 1000, attempts: 1, backoffMs: 5, lockPollMs: 10 } }
const source = (bytes: Buffer, files?: string[]): Source => ({
  kind: 'npm',
  package: 'tiny-net',
  version: '1.2.3',
  integrity: sha512Of(bytes),
  ...(files ? { files } : {}),
})

let folder: string
let destination: string
let server: TestServer | undefined
const before = { ...process.env }

const useRegistry = (registry: TestServer): void => {
  server = registry
  process.env.npm_config_registry = `${registry.origin}/`
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fc7-npm-'))
  destination = join(folder, 'tiny-net-1.2.3')
  process.env.npm_config_cache = join(folder, 'npm-cache')
  process.env.npm_config_fetch_retries = '0'
})
afterEach(async () => {
  for (const name of ['npm_config_registry', 'npm_config_cache', 'npm_config_fetch_retries']) {
    if (before[name] === undefined) delete process.env[name]
    else process.env[name] = before[name]
  }
  await server?.close()
  server = undefined
  await rm(folder, { recursive: true, force: true })
})
const visible = async (): Promise<string[]> => (await readdir(folder)).filter((name) => name !== 'npm-cache')

describe('an npm source', () => {
  it('takes the tarball from the user’s registry and unpacks what is wanted', async () => {
    useRegistry(await serveRegistry('tiny-net', '1.2.3', tarball))
    const updates: number[] = []
    const progress = { task: () => ({ update: (done: number) => void updates.push(done), end() {} }), say() {} }
    const wanted = source(tarball, ['model/'])
    expect(await fetchSource(wanted, destination, { ...options, progress })).toEqual({
      path: destination,
      reused: false,
    })
    expect(updates.at(-1)).toBe(tarball.length)
    expect((await readdir(destination, { recursive: true })).sort()).toEqual([
      'fc7-source.json',
      'model',
      'model/model.json',
      'model/shard1.bin',
    ])
    expect(JSON.parse(await readFile(join(destination, 'fc7-source.json'), 'utf8'))).toMatchObject({
      format: 1,
      package: 'tiny-net',
      files: [
        { path: 'model/model.json', size: 13 },
        { path: 'model/shard1.bin', size: 3 },
      ],
    })
    expect(await visible()).toEqual(['tiny-net-1.2.3'])
    expect(await fetchSource(wanted, destination, { ...options, offline: true })).toMatchObject({ reused: true })
    // A file changed behind its back is noticed; the registry's copy mends it.
    await writeFile(join(destination, 'model/shard1.bin'), 'abd')
    await expect(fetchSource(wanted, destination, { ...options, offline: true })).rejects.toMatchObject({
      code: 'OFFLINE',
    })
    await fetchSource(wanted, destination, options)
    expect(await readFile(join(destination, 'model/shard1.bin'), 'utf8')).toBe('abc')
  })

  it('refuses a tampered tarball and keeps nothing', async () => {
    const tampered = packTar({ 'model/model.json': '{"weights":2}' })
    useRegistry(await serveRegistry('tiny-net', '1.2.3', tarball, tampered))
    const error = await fetchSource(source(tarball), destination, options).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'HASH_MISMATCH' })
    expect(String(error)).toContain(sha512Of(tarball))
    expect(await visible()).toEqual([])
  })

  it('refuses a registry that is honest about another file', async () => {
    useRegistry(await serveRegistry('tiny-net', '1.2.3', packTar({ 'model/model.json': '{}' })))
    await expect(fetchSource(source(tarball), destination, options)).rejects.toMatchObject({ code: 'HASH_MISMATCH' })
    expect(await visible()).toEqual([])
  })

  it('says what is wrong: unknown version, registry down, wanted file missing', async () => {
    useRegistry(await serveRegistry('tiny-net', '9.9.9', tarball))
    await expect(fetchSource(source(tarball), destination, options)).rejects.toMatchObject({ code: 'NPM_MISSING' })
    process.env.npm_config_registry = 'http://127.0.0.1:9/'
    await expect(fetchSource(source(tarball), destination, options)).rejects.toMatchObject({ code: 'NPM_FETCH' })
    await writeFile(`${destination}.tgz`, tarball)
    await expect(fetchSource(source(tarball, ['none.bin']), destination, options)).rejects.toMatchObject({
      code: 'NPM_FILE_MISSING',
    })
    expect(await visible()).toEqual(['tiny-net-1.2.3.tgz'])
  })

  it('offline names the command and the place, and takes a tarball put there by hand', async () => {
    const offline = { ...options, offline: true }
    await expect(fetchSource(source(tarball), destination, offline)).rejects.toMatchObject({
      code: 'OFFLINE',
      hint: expect.stringContaining(`npm pack tiny-net@1.2.3`),
    })
    await writeFile(`${destination}.tgz`, packTar({ 'a.txt': 'wrong' }))
    await expect(fetchSource(source(tarball), destination, offline)).rejects.toMatchObject({ code: 'HASH_MISMATCH' })
    await writeFile(`${destination}.tgz`, tarball)
    await fetchSource(source(tarball), destination, offline)
    expect(await readFile(join(destination, 'README.md'), 'utf8')).toBe('no')
  })

  it('writes regular files inside the folder only', async () => {
    const wicked = (name: string) => gzipSync(makeTar([{ name, body: Buffer.from('x') }]))
    for (const name of ['package/../../escape.txt', '/etc/escape.txt', 'package/a\\..\\escape.txt']) {
      const bytes = wicked(name)
      await writeFile(`${destination}.tgz`, bytes)
      await expect(fetchSource(source(bytes), destination, options)).rejects.toMatchObject({ code: 'NPM_UNSAFE' })
    }
    const linked = gzipSync(
      makeTar([
        { name: 'package/link', type: '2', link: '/etc/passwd' },
        { name: 'package/hard', type: '1', link: 'package/a.txt' },
        { name: 'package/a.txt', body: Buffer.from('a') },
      ]),
    )
    await writeFile(`${destination}.tgz`, linked)
    await fetchSource(source(linked), destination, options)
    expect((await readdir(destination)).sort()).toEqual(['a.txt', 'fc7-source.json'])
    expect(await visible()).toEqual(['tiny-net-1.2.3', 'tiny-net-1.2.3.tgz'])
  })

  it('does not delete a folder that it did not write', async () => {
    await writeFile(`${destination}.tgz`, tarball)
    await mkdir(destination)
    await writeFile(join(destination, 'mine.txt'), 'precious')
    await expect(fetchSource(source(tarball), destination, options)).rejects.toMatchObject({
      code: 'DESTINATION_TAKEN',
    })
    expect(await readFile(join(destination, 'mine.txt'), 'utf8')).toBe('precious')
  })
})
