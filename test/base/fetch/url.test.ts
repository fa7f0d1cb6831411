import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { MockAgent } from 'undici'
import { type FetchOptions, fetchFirst, fetchSource, type Source } from '../../../src/base/fetch/index.js'
import { getFollowing } from '../../../src/base/fetch/request.js'
import { answerFile, serve, sha256Of, type TestServer } from './servers.js'

const body = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 31 + (i >> 8)) & 255))
// A loaded machine may be slow: only a test of stalls waits for one.
const patience = { stallMs: 30_000, attempts: 3, backoffMs: 5, lockPollMs: 10, lockStaleMs: 60_000 }
const options: FetchOptions = { patience }

let folder: string
let destination: string
let server: TestServer | undefined

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fc7-url-'))
  destination = join(folder, 'weights.onnx')
})
afterEach(async () => {
  await server?.close()
  server = undefined
  await rm(folder, { recursive: true, force: true })
})

const source = (over: Partial<{ url: string; sha256: string; bytes: number }> = {}): Source => ({
  kind: 'url',
  url: `${server?.origin}/weights.onnx`,
  sha256: sha256Of(body),
  bytes: body.length,
  ...over,
})

/** Progress that acts once so many bytes are on the disk. */
const whenWritten = (bytes: () => number, act: () => void) => ({
  task: () => ({
    update(done: number) {
      if (done === bytes()) act()
    },
    end() {},
  }),
  say() {},
})

describe('a url source', () => {
  it('streams, checks, renames, and reuses what is whole', async () => {
    server = await serve((request, response) => answerFile(request, response, body))
    const updates: number[] = []
    const progress = { task: () => ({ update: (done: number) => void updates.push(done), end() {} }), say() {} }
    expect(await fetchSource(source(), destination, { ...options, progress })).toEqual({
      path: destination,
      reused: false,
    })
    expect(await readFile(destination)).toEqual(body)
    expect(updates.at(-1)).toBe(body.length)
    expect(await readdir(folder)).toEqual(['weights.onnx'])
    expect(await fetchSource(source(), destination, { ...options, offline: true })).toMatchObject({ reused: true })
    expect(server.requests).toHaveLength(1)
  })

  it('fetches again what was damaged in the cache', async () => {
    server = await serve((request, response) => answerFile(request, response, body))
    await fetchSource(source(), destination, options)
    const damaged = Buffer.from(body)
    damaged[1000]! ^= 1
    await writeFile(destination, damaged)
    await expect(fetchSource(source(), destination, { ...options, offline: true })).rejects.toMatchObject({
      code: 'OFFLINE',
    })
    await fetchSource(source(), destination, options)
    expect(await readFile(destination)).toEqual(body)
  })

  it('goes on where a stalled connection stopped, with If-Range', async () => {
    server = await serve((request, response, count) => {
      if (count > 1) return answerFile(request, response, body)
      response.writeHead(200, { 'content-length': body.length, etag: '"v1"' })
      response.write(body.subarray(0, 100_000))
    })
    await fetchSource(source(), destination, { patience: { ...patience, stallMs: 200 } })
    expect(await readFile(destination)).toEqual(body)
    expect(server.requests[1]).toMatchObject({ range: 'bytes=100000-', ifRange: '"v1"' })
  })

  it('goes on in a later run where an interrupted one stopped', async () => {
    const controller = new AbortController()
    server = await serve((request, response, count) => {
      if (count > 1) return answerFile(request, response, body)
      response.writeHead(200, { 'content-length': body.length, etag: '"v1"' })
      response.write(body.subarray(0, 50_000))
    })
    const progress = whenWritten(
      () => 50_000,
      () => controller.abort(),
    )
    const stopped = fetchSource(source(), destination, { ...options, progress, signal: controller.signal })
    await expect(stopped).rejects.toMatchObject({ code: 'INTERRUPTED' })
    expect((await readdir(folder)).sort()).toEqual(['weights.onnx.partial', 'weights.onnx.partial.json'])
    await fetchSource(source(), destination, options)
    expect(server.requests[1]?.range).toBe('bytes=50000-')
    expect(await readFile(destination)).toEqual(body)
  })

  it('starts over when the file on the server has changed, and when the server cannot resume', async () => {
    let cut = (): void => {}
    const old = Buffer.alloc(body.length, 7)
    server = await serve((request, response, count) => {
      if (count > 1) return answerFile(request, response, body, '"v2"')
      response.writeHead(200, { 'content-length': old.length, etag: '"v1"' })
      response.write(old.subarray(0, 10_000))
      cut = () => response.destroy()
    })
    const progress = whenWritten(
      () => 10_000,
      () => cut(),
    )
    await fetchSource(source(), destination, { ...options, progress })
    expect(await readFile(destination)).toEqual(body)
  })

  it('joins no wrong bytes: a resumed file with a wrong hash is fetched once more from the start', async () => {
    let cut = (): void => {}
    server = await serve((request, response, count) => {
      if (count > 1) return answerFile(request, response, body)
      response.writeHead(200, { 'content-length': body.length })
      response.write(Buffer.alloc(10_000, 7))
      cut = () => response.destroy()
    })
    const progress = whenWritten(
      () => 10_000,
      () => cut(),
    )
    await fetchSource(source(), destination, { ...options, progress })
    expect(await readFile(destination)).toEqual(body)
    expect(server.requests.map((request) => request.range)).toEqual([undefined, 'bytes=10000-', undefined])
  })

  it('gives up on a server that always truncates, keeps the part, and says so', async () => {
    let sent = 0
    let cut = (): void => {}
    server = await serve((request, response) => {
      const start = Number(/\d+/.exec(request.headers.range ?? '0')?.[0])
      response.writeHead(start ? 206 : 200, {
        'content-length': body.length - start,
        ...(start ? { 'content-range': `bytes ${start}-${body.length - 1}/${body.length}` } : {}),
      })
      response.write(body.subarray(start, start + 10))
      sent = start + 10
      cut = () => response.destroy()
    })
    const progress = whenWritten(
      () => sent,
      () => cut(),
    )
    await expect(fetchSource(source(), destination, { ...options, progress })).rejects.toMatchObject({
      code: 'FETCH_NETWORK',
      hint: expect.stringMatching(/^\d+ bytes are kept/),
    })
    expect(server.requests).toHaveLength(3)
    expect(await readdir(folder)).not.toContain('weights.onnx')
  })

  it.each([
    ['more than it said', body.length, body.length + 5000],
    ['less than it said', body.length, body.length - 5000],
  ])('notices a server that sends %s', async (_title, said, sent) => {
    server = await serve((_request, response) => {
      response.socket?.write(`HTTP/1.1 200 OK\r\ncontent-length: ${said}\r\nconnection: close\r\n\r\n`)
      response.socket?.end(Buffer.concat([body, Buffer.alloc(5000, 1)]).subarray(0, sent))
    })
    const outcome = await fetchSource(source(), destination, options).catch((error: unknown) => error)
    // Bytes beyond the declared length are never read, so a good beginning may pass; a short answer may not.
    if (sent < said) {
      expect(outcome).toMatchObject({ code: 'FETCH_NETWORK' })
      expect(await readdir(folder)).not.toContain('weights.onnx')
    } else if (await readdir(folder).then((names) => names.includes('weights.onnx')))
      expect(await readFile(destination)).toEqual(body)
  })

  it('refuses another size at once, declared or not, and wrong bytes of the right size', async () => {
    const wrong = Buffer.alloc(body.length, 9)
    server = await serve((request, response) => {
      if (request.url === '/declared') response.writeHead(200, { 'content-length': 5_000_000 }).end(Buffer.alloc(100))
      else if (request.url === '/undeclared') response.writeHead(200).end(Buffer.alloc(body.length + 1))
      else answerFile(request, response, wrong)
    })
    for (const path of ['/declared', '/undeclared']) {
      await expect(fetchSource(source({ url: server.origin + path }), destination, options)).rejects.toMatchObject({
        code: 'SIZE_MISMATCH',
      })
    }
    const error = await fetchSource(source(), destination, options).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'HASH_MISMATCH' })
    expect(String(error)).toContain(sha256Of(wrong))
    expect(String(error)).toContain(sha256Of(body))
    expect(await readdir(folder)).toEqual([])
  })

  it('follows redirects, but not for ever', async () => {
    server = await serve((request, response) => {
      if (request.url === '/weights.onnx') response.writeHead(302, { location: '/a/../real' }).end()
      else if (request.url === '/loop') response.writeHead(301, { location: '/loop' }).end()
      else if (request.url === '/odd') response.writeHead(301, { location: 'file:///etc/passwd' }).end()
      else answerFile(request, response, body)
    })
    await fetchSource(source(), destination, options)
    expect(await readFile(destination)).toEqual(body)
    for (const path of ['/loop', '/odd']) {
      await expect(
        fetchSource(source({ url: server.origin + path }), join(folder, 'x'), options),
      ).rejects.toMatchObject({
        code: 'REDIRECT_REFUSED',
      })
    }
  })

  it('does not follow https down to http', async () => {
    const agent = new MockAgent()
    agent.disableNetConnect()
    agent
      .get('https://models.example')
      .intercept({ path: '/m' })
      .reply(302, '', { headers: { location: 'http://models.example/m' } })
    const context = {
      offline: false,
      progress: { task: () => ({ update() {}, end() {} }), say() {} },
      signal: undefined,
    }
    await expect(
      getFollowing('https://models.example/m', {}, agent, { ...context, baseFolder: '.', patience: { ...patience } }),
    ).rejects.toMatchObject({ code: 'REDIRECT_REFUSED', message: expect.stringContaining('down to http') })
    await agent.close()
  })

  it('tries again after 503, not after 404', async () => {
    server = await serve((request, response, count) => {
      if (request.url === '/gone') response.writeHead(404).end()
      else if (count === 1) response.writeHead(503, { 'retry-after': '0.01' }).end()
      else answerFile(request, response, body)
    })
    await fetchSource(source(), destination, options)
    expect(server.requests).toHaveLength(2)
    await expect(
      fetchSource(source({ url: `${server.origin}/gone` }), join(folder, 'x'), options),
    ).rejects.toMatchObject({
      code: 'FETCH_STATUS',
      message: expect.stringContaining('404'),
    })
    expect(server.requests).toHaveLength(3)
  })

  it('goes through the proxy that the environment names', async () => {
    const seen: string[] = []
    const origin = await serve((request, response) => answerFile(request, response, body))
    const { createServer } = await import('node:http')
    const { connect } = await import('node:net')
    const proxy = createServer((request, response) => {
      seen.push(String(request.url))
      answerFile(request, response, body)
    })
    proxy.on('connect', (request, socket) => {
      seen.push(`CONNECT ${request.url}`)
      const [host, port] = String(request.url).split(':')
      const onward = connect(Number(port), host, () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        onward.pipe(socket)
        socket.pipe(onward)
      })
      onward.on('error', () => socket.destroy())
      socket.on('error', () => onward.destroy())
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    const before = { ...process.env }
    process.env.http_proxy = `http://127.0.0.1:${(proxy.address() as { port: number }).port}`
    process.env.no_proxy = ''
    try {
      await fetchSource(source({ url: `${origin.origin}/weights.onnx` }), destination, options)
      expect(seen).toHaveLength(1)
      process.env.no_proxy = '127.0.0.1'
      await fetchSource(source({ url: `${origin.origin}/weights.onnx` }), join(folder, 'direct'), options)
      expect(seen).toHaveLength(1)
    } finally {
      for (const name of ['http_proxy', 'no_proxy']) {
        if (before[name] === undefined) delete process.env[name]
        else process.env[name] = before[name]
      }
      proxy.closeAllConnections()
      await new Promise((resolve) => proxy.close(resolve))
      await origin.close()
    }
  })

  it('lets two pulls at once take turns', async () => {
    // The server answers once two of the three wait for the first.
    let answer = (): void => {}
    let waiting = 0
    const say = () => {
      if (++waiting === 2) answer()
    }
    server = await serve((request, response) => {
      answer = () => answerFile(request, response, body)
      if (waiting >= 2) answer()
    })
    const progress = { task: () => ({ update() {}, end() {} }), say }
    const outcomes = await Promise.all(
      [1, 2, 3].map(() => fetchSource(source(), destination, { ...options, progress })),
    )
    expect(outcomes.filter((outcome) => outcome.reused)).toHaveLength(2)
    expect(server.requests).toHaveLength(1)
    expect(await readdir(folder)).toEqual(['weights.onnx'])
  })

  it('takes over a lock whose process is gone', async () => {
    server = await serve((request, response) => answerFile(request, response, body))
    const lock = `${destination}.lock`
    await writeFile(lock, 'another-machine\n1\nx\n')
    // It is fresh, so it is waited for; then it has not been touched for an hour.
    const said: string[] = []
    const say = (line: string) => {
      said.push(line)
      const hourAgo = new Date(Date.now() - 3_600_000)
      void utimes(lock, hourAgo, hourAgo)
    }
    const progress = { task: () => ({ update() {}, end() {} }), say }
    await fetchSource(source(), destination, { ...options, progress })
    expect(said).toEqual([expect.stringContaining('Another process is fetching')])
    expect(await readdir(folder)).toEqual(['weights.onnx'])
  })

  it('tries sources in order and tells every failure', async () => {
    server = await serve((request, response) => {
      if (request.url === '/bad') response.writeHead(404).end()
      else answerFile(request, response, body)
    })
    const bad = source({ url: `${server.origin}/bad` })
    const missing: Source = { kind: 'file', path: join(folder, 'none'), sha256: sha256Of(body) }
    expect(await fetchFirst([missing, bad, source()], destination, options)).toMatchObject({
      path: destination,
      source: { kind: 'url', url: `${server.origin}/weights.onnx` },
    })
    const error = await fetchFirst([missing, bad], join(folder, 'x'), options).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'FETCH_FAILED' })
    expect(String(error)).toMatch(/none does not exist.*404/)
    await expect(fetchFirst([missing, bad], join(folder, 'x'), { ...options, offline: true })).rejects.toMatchObject({
      code: 'OFFLINE',
      hint: expect.stringContaining(join(folder, 'x')),
    })
  })
})
