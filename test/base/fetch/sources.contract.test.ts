import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import {
  type FetchOptions,
  fetchSource,
  type Source,
  sourcePlugins,
  sourceSchema,
  titleOfSource,
} from '../../../src/base/fetch/index.js'
import { answerFile, packTar, serve, serveRegistry, sha256Of, sha512Of, type TestServer } from './servers.js'

const content = Buffer.from('the bytes that every source brings')
const tarball = packTar({ 'content.bin': content.toString() })
const options: FetchOptions = { patience: { stallMs: 500, attempts: 1, backoffMs: 1, lockPollMs: 5 } }

let folder: string
let server: TestServer
let registry: TestServer
const before = { ...process.env }

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fc7-sources-'))
  server = await serve((request, response) => answerFile(request, response, content))
  registry = await serveRegistry('content', '1.0.0', tarball)
  process.env.npm_config_registry = `${registry.origin}/`
  process.env.npm_config_cache = join(folder, 'npm-cache')
  await writeFile(join(folder, 'content.bin'), content)
})
afterAll(async () => {
  for (const name of ['npm_config_registry', 'npm_config_cache']) {
    if (before[name] === undefined) delete process.env[name]
    else process.env[name] = before[name]
  }
  await server.close()
  await registry.close()
  await rm(folder, { recursive: true, force: true })
})

/** A good source of each kind and one whose hash is wrong, and where the content lies in what comes back. */
const examples: Record<string, () => { good: Source; wrong: Source; inner: string }> = {
  url: () => {
    const url = `${server.origin}/content.bin`
    return {
      good: { kind: 'url', url, sha256: sha256Of(content) },
      wrong: { kind: 'url', url, sha256: '0'.repeat(64) },
      inner: '',
    }
  },
  npm: () => {
    const base = { kind: 'npm' as const, package: 'content', version: '1.0.0' }
    return {
      good: { ...base, integrity: sha512Of(tarball) },
      wrong: { ...base, integrity: sha512Of(Buffer.from('other')) },
      inner: 'content.bin',
    }
  },
  file: () => {
    const path = join(folder, 'content.bin')
    return {
      good: { kind: 'file', path, sha256: sha256Of(content) },
      wrong: { kind: 'file', path, sha256: '0'.repeat(64) },
      inner: '',
    }
  },
}

describe.each(sourcePlugins.map((plugin) => plugin.kind))('source plugin %s', (kind) => {
  const fresh = async (): Promise<string> => {
    const place = await mkdtemp(join(folder, 'place-'))
    return join(place, 'deeper', 'target')
  }

  it('has an example here, passes its own schema and names itself', () => {
    const { good } = examples[kind]!()
    expect(sourceSchema.parse(good)).toEqual(good)
    expect(titleOfSource(good).length).toBeGreaterThan(3)
    expect(() => sourceSchema.parse({ ...good, surprise: 1 })).toThrow()
  })

  it('brings the bytes, and the second time reuses them', async () => {
    const { good, inner } = examples[kind]!()
    const destination = await fresh()
    const first = await fetchSource(good, destination, options)
    expect(await readFile(join(first.path, inner))).toEqual(content)
    expect(await fetchSource(good, destination, { ...options, offline: true })).toEqual({ ...first, reused: true })
  })

  it('refuses a wrong hash and leaves nothing under the final name', async () => {
    const { wrong } = examples[kind]!()
    const destination = await fresh()
    await expect(fetchSource(wrong, destination, options)).rejects.toMatchObject({
      code: 'HASH_MISMATCH',
      hint: expect.stringMatching(/\S/),
    })
    await mkdir(join(destination, '..'), { recursive: true })
    expect(await readdir(join(destination, '..'))).toEqual([])
  })

  it('stops when interrupted before it began', async () => {
    const { good } = examples[kind]!()
    if (good.kind === 'file') return expect((await fetchSource(good, await fresh(), options)).reused).toBe(true)
    await expect(fetchSource(good, await fresh(), { ...options, signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'INTERRUPTED',
    })
  })
})
