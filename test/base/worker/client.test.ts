import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, it } from '@jest/globals'
import { Fc7Error } from '../../../src/base/errors.js'
import { WorkerClient, type WorkerOptions } from '../../../src/base/worker/client.js'
import { node } from '../../cli/run.js'

const root = mkdtempSync(join(tmpdir(), 'fc7-worker-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const dist = new URL('../../../dist/base/', import.meta.url).href
const body = `
  import { Fc7Error } from '${dist}errors.js'
  import { serve, Transferred } from '${dist}worker/serve.js'
  import { workerData } from 'node:worker_threads'
  let inside = 0
  serve({
    async double(n) {
      if (++inside > 1) throw new Error('two at once')
      await new Promise((resolve) => setImmediate(resolve))
      inside--
      return 2 * n + (workerData ?? 0)
    },
    refuse() { throw new Fc7Error('NO_WAY', 'This is refused.', { hint: 'Ask for less.' }) },
    defect() { return undefined.x },
    buffer(bytes) { const made = new Uint8Array(bytes); return new Transferred(made, [made.buffer]) },
    async count(to, { progress, signal }) {
      for (let i = 1; i <= to && !signal.aborted; i++) {
        progress(i / to)
        await new Promise((resolve) => setImmediate(resolve))
      }
      return signal.aborted
    },
    die(code) { process.exit(code) },
  }, { onClose: async () => { workerData?.closed?.postMessage('closed') } })`
const path = join(root, 'body.mjs')
writeFileSync(path, body)

type Requests = {
  double: { ask: number; answer: number }
  refuse: { ask: null; answer: null }
  defect: { ask: null; answer: null }
  buffer: { ask: number; answer: Uint8Array }
  count: { ask: number; answer: boolean }
  die: { ask: number; answer: null }
}
const open = (options: Partial<WorkerOptions> = {}) =>
  new WorkerClient<Requests>({
    url: pathToFileURL(path).href,
    ended: (why) => new Fc7Error('ENDED', `The thread ended: ${why}.`),
    ...options,
  })

describe('the worker client', () => {
  it('asks several at once and is answered in order, one after another', async () => {
    const client = open({ data: 100 })
    const answers = Array.from({ length: 20 }, (_, i) => client.ask('double', i))
    expect(client.pending).toBe(20)
    expect(await Promise.all(answers)).toEqual(Array.from({ length: 20 }, (_, i) => 2 * i + 100))
    expect(client.pending).toBe(0)
    await client.close()
  })

  it('revives errors with code and hint; others stay plain; the next request is answered', async () => {
    const client = open()
    const refused = await client.ask('refuse', null).catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(Fc7Error)
    expect(refused).toMatchObject({ code: 'NO_WAY', message: 'This is refused.', hint: 'Ask for less.' })
    const plain = await client.ask('defect', null).catch((error: unknown) => error)
    expect(plain).not.toBeInstanceOf(Fc7Error)
    expect((plain as Error).message).toMatch(/undefined/)
    expect(await client.ask('double', 4)).toBe(8)
    await client.close()
  })

  it('hands buffers over, reports progress', async () => {
    const client = open()
    expect((await client.ask('buffer', 5)).byteLength).toBe(5)
    const seen: number[] = []
    expect(await client.ask('count', 4, { onProgress: (fraction) => seen.push(fraction) })).toBe(false)
    expect(seen).toEqual([0.25, 0.5, 0.75, 1])
    await client.close()
  })

  it('cancels: who asked hears at once, the handler by its signal, the next is answered', async () => {
    const client = open()
    const stop = new AbortController()
    const endless = client.ask('count', 1e9, { signal: stop.signal, onProgress: () => stop.abort() })
    await expect(endless).rejects.toMatchObject({ code: 'INTERRUPTED' })
    expect(await client.ask('double', 1)).toBe(2)
    const reason = new Fc7Error('TIME_LIMIT', 'Too long.')
    await expect(client.ask('double', 1, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    await client.close()
  })

  it('fails what waits when the thread dies, says why once, and refuses from then on', async () => {
    const ends: string[] = []
    const client = open({ onEnd: (why) => ends.push(why) })
    const waiting = [client.ask('die', 3), client.ask('double', 1)].map((asked) =>
      asked.catch((error) => error.message),
    )
    expect(await Promise.all(waiting)).toEqual(Array(2).fill('The thread ended: it exited with code 3.'))
    await expect(client.ask('double', 1)).rejects.toMatchObject({ code: 'ENDED' })
    expect(ends).toEqual(['it exited with code 3'])
    await client.close()
  })

  it('fails a thread that cannot start', async () => {
    const client = open({ url: 'file:///no/such/body.mjs' })
    await expect(client.ready).rejects.toMatchObject({ code: 'ENDED' })
    await expect(client.ask('double', 1)).rejects.toMatchObject({ code: 'ENDED' })
  })

  it('terminates at once, with the error given', async () => {
    const client = open()
    const endless = client.ask('count', 1e9)
    const error = new Fc7Error('STOPPED', 'Stopped.')
    const failed = expect(endless).rejects.toBe(error)
    await client.terminate(error)
    await failed
  })

  it('keeps the process for what waits, and lets it end when nothing does', async () => {
    const script = join(root, 'main.mjs')
    writeFileSync(
      script,
      `import { WorkerClient } from '${dist}worker/client.js'
       const client = new WorkerClient({ url: '${pathToFileURL(path).href}', ended: (why) => new Error(why) })
       client.ask('double', 21).then(console.log)`,
    )
    expect(await node([script])).toMatchObject({ code: 0, stdout: '42\n' })
  })
})
