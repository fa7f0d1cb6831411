import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { encodeModel, GraphBuilder } from '../../../src/onnx/build.js'
import { decodeModel } from '../../../src/onnx/read.js'
import { graphOf } from '../../../src/onnx/walk.js'
import { writeModel } from '../../../src/onnx/write.js'
import { answerFile, serve, sha256Of, type TestServer } from '../../base/fetch/servers.js'
import { tinyModel } from '../../support/tiny.js'
import { errorLines, fc7, fc7Warm, type RunOptions } from '../run.js'

// What a user sees of a pull that goes well or badly, through the built command, against a server on this machine.
const body = Buffer.from(tinyModel())
let root: string
let cache: string
let models: string
let server: TestServer | undefined
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-pull-'))
})
afterAll(async () => {
  await rm(root, { recursive: true, force: true })
})
beforeEach(async () => {
  cache = await mkdtemp(join(root, 'cache-'))
  models = join(cache, 'models', 'far')
})
afterEach(async () => {
  await server?.close()
  server = undefined
})

/** A card of the user's own whose weights come over http. */
async function writeCard(change: Record<string, unknown> = {}): Promise<void> {
  const source = {
    kind: 'url',
    url: `${server!.origin}/far.onnx`,
    sha256: sha256Of(body),
    bytes: body.length,
    ...change,
  }
  const card = { format: 1, id: 'far', title: 'Far', sources: [source], recipes: ['caffe'] }
  await mkdir(join(cache, 'cards'), { recursive: true })
  await writeFile(join(cache, 'cards', 'far.json'), JSON.stringify(card))
}

const pullArgs = ['models', 'pull', 'far', '--json']
const pullEnv = (offline = false) => ({ FC7_CACHE: cache, FC7_OFFLINE: offline ? '1' : '0' })
const pull = (offline?: boolean) => fc7Warm(pullArgs, { env: pullEnv(offline) })
const pullAlone = (options: Pick<RunOptions, 'interruptOn' | 'onStderr'> = {}) =>
  fc7(pullArgs, { env: pullEnv(), ...options })

/** Waits for something to come true that no event tells. */
async function until(comesTrue: () => Promise<boolean>): Promise<void> {
  while (!(await comesTrue().catch(() => false))) await new Promise((resolve) => setTimeout(resolve, 5))
}

const kept = async (): Promise<string[]> => (await readdir(models).catch(() => [])).sort()

describe('models pull', () => {
  it('two processes at once fetch a file once and both have it', async () => {
    // The server answers once the second process says that it waits for the first.
    let waits = (): void => {}
    const secondWaits = new Promise<void>((resolve) => {
      waits = resolve
    })
    server = await serve((request, response) => {
      void secondWaits.then(() => answerFile(request, response, body))
    })
    await writeCard()
    const onStderr = (said: string) => {
      if (said.includes('Another process is fetching')) waits()
    }
    const outcomes = await Promise.all([pullAlone({ onStderr }), pullAlone({ onStderr })])
    expect(outcomes.map(({ code }) => code)).toEqual([0, 0])
    const results = outcomes.map(({ stdout }) => JSON.parse(stdout))
    expect(results.map(({ sha256 }) => sha256)).toEqual([sha256Of(body), sha256Of(body)])
    expect(results.filter(({ reused }) => reused)).toHaveLength(1)
    expect(server.requests).toHaveLength(1)
    expect(await kept()).toEqual(['far.onnx'])
  })

  it('wrong bytes: both hashes are told, nothing is kept', async () => {
    server = await serve((request, response) => answerFile(request, response, Buffer.alloc(body.length, 9)))
    await writeCard()
    const outcome = await pull()
    expect(outcome.code).toBe(1)
    expect(outcome.stderr).toContain(sha256Of(body))
    expect(errorLines(outcome)[1]).toContain('Nothing was kept')
    expect(await kept()).toEqual([])
  })

  it('Ctrl-C: exit 130, only the part is there, and the same command finishes it', async () => {
    let begun = (): void => {}
    const interruptOn = new Promise<void>((resolve) => {
      begun = resolve
    })
    server = await serve((request, response, count) => {
      if (count > 1) return answerFile(request, response, body)
      response.writeHead(200, { 'content-length': body.length, etag: '"v1"' })
      // The server stalls.
      response.write(body.subarray(0, 20_000))
      void until(async () => (await stat(join(models, 'far.onnx.partial'))).size === 20_000).then(begun)
    })
    await writeCard()
    const stopped = await pullAlone({ interruptOn })
    expect(stopped.code).toBe(130)
    expect(await kept()).toEqual(['far.onnx.partial', 'far.onnx.partial.json'])
    expect((await pull()).code).toBe(0)
    expect(server.requests[1]?.range).toBe('bytes=20000-')
    expect(await readFile(join(models, 'far.onnx'))).toEqual(body)
    expect(await kept()).toEqual(['far.onnx'])
  })

  it('offline: the message names the file, where to put it and its sha256; put there, it is taken', async () => {
    server = await serve((request, response) => answerFile(request, response, body))
    await writeCard()
    const outcome = await pull(true)
    const place = join(models, 'far.onnx')
    expect(outcome.code).toBe(1)
    expect(errorLines(outcome)[0]).toContain(`${server.origin}/far.onnx`)
    expect(errorLines(outcome)[1]).toContain(place)
    expect(errorLines(outcome)[1]).toContain(sha256Of(body))
    expect(server.requests).toHaveLength(0)
    await mkdir(models, { recursive: true })
    await writeFile(place, body)
    expect((await pull(true)).code).toBe(0)
  })
})

describe('a model file that is not to be trusted', () => {
  it.each<[string, string, (path: string) => Promise<void>]>([
    ['truncated', 'cut short', (path) => writeFile(path, body.subarray(0, body.length - 1000))],
    [
      'with external data outside its folder',
      'outside the model',
      async (path) => {
        const [, data] = await writeModel(decodeModel(body), path, { weights: 'external' })
        const model = decodeModel(await readFile(path))
        for (const { externalData } of graphOf(model).initializer) {
          for (const entry of externalData) if (entry.key === 'location') entry.value = '../../../etc/passwd'
        }
        await writeFile(path, encodeModel(model))
        await rm(data!)
      },
    ],
    [
      'without a card or --recipe',
      'matches no card',
      async (path) => {
        const b = new GraphBuilder('bare')
        b.input('x', 'float32', [1, 3, 8, 8])
        b.add('GlobalAveragePool', ['x'], {}, { outputs: ['y'] })
        b.output('y', 'float32', [1, 3, 1, 1])
        await writeFile(path, encodeModel(b.model()))
      },
    ],
  ])('%s: two lines, exit 1, nothing written', async (_, words, make) => {
    const path = join(cache, 'given.onnx')
    await make(path)
    const photos = join(cache, 'photos')
    await mkdir(photos)
    const out = join(cache, 'out.fc7')
    const outcome = await fc7Warm(['extract', photos, '--model', path, '--out', out], { env: { FC7_CACHE: cache } })
    expect(outcome.code).toBe(1)
    const lines = outcome.stderr.trim().split('\n')
    expect(lines).toHaveLength(2)
    expect(lines[0]).toContain(words)
    expect(await readdir(cache)).toEqual(expect.not.arrayContaining(['out.fc7', 'graphs', 'models']))
  })
})
