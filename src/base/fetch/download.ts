import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { type Dispatcher, EnvHttpProxyAgent } from 'undici'
import { z } from 'zod'
import { Fc7Error, InterruptedError, systemCode } from '../errors.js'
import { explainWriteError, syncFolder } from '../files.js'
import type { ProgressTask } from '../progress.js'
import type { FetchContext } from './contract.js'
import { pause } from './pause.js'
import { getFollowing, networkReason } from './request.js'
import type { UrlSource } from './url-source.js'

/** Bound for sources that do not say how many bytes they have. */
const maxUnknownBytes = 16 * 2 ** 30
/** A try that brought this much starts the count of fruitless tries again. */
const fruitfulBytes = 1 << 20
const maxRetryAfterMs = 60_000

const noteSchema = z.object({ sha256: z.string(), url: z.string(), validator: z.string().optional() })

/** A failure that another try may mend. */
class Transient extends Error {
  readonly afterMs: number
  constructor(reason: string, afterMs = 0) {
    super(reason)
    this.afterMs = afterMs
  }
}

interface Partial_ {
  readonly path: string
  readonly notePath: string
  size: number
  hash: Hash
  validator: string | undefined
}

/** Finds what an earlier try left of the same file (same sha256) and hashes it; anything else starts empty. */
async function openPartial(source: UrlSource, destination: string): Promise<Partial_> {
  const path = `${destination}.partial`
  const partial: Partial_ = {
    path,
    notePath: `${path}.json`,
    size: 0,
    hash: createHash('sha256'),
    validator: undefined,
  }
  const text = await readFile(partial.notePath, 'utf8').catch(() => undefined)
  if (text === undefined) return partial
  let note: z.infer<typeof noteSchema>
  try {
    note = noteSchema.parse(JSON.parse(text))
  } catch {
    return partial
  }
  if (note.sha256 !== source.sha256) return partial
  const found = await stat(path).catch(() => undefined)
  if (!found?.isFile() || (source.bytes !== undefined && found.size > source.bytes)) return partial
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) partial.hash.update(chunk as Buffer)
  partial.size = found.size
  // The validator belongs to the server that gave it.
  if (note.url === source.url) partial.validator = note.validator
  return partial
}

async function dropPartial(partial: Partial_): Promise<void> {
  await rm(partial.path, { force: true })
  await rm(partial.notePath, { force: true })
  startOver(partial)
}

function startOver(partial: Partial_): void {
  partial.size = 0
  partial.hash = createHash('sha256')
  partial.validator = undefined
}

/** The strong ETag, or the date of change: what If-Range takes. */
function validatorOf(headers: Record<string, string | string[] | undefined>): string | undefined {
  const { etag, 'last-modified': modified } = headers
  if (typeof etag === 'string' && etag.startsWith('"')) return etag
  return typeof modified === 'string' ? modified : undefined
}

function retryAfterMs(header: string | string[] | undefined): number {
  const seconds = Number(header)
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds * 1000, maxRetryAfterMs) : 0
}

function tooLong(source: UrlSource, total: number): Fc7Error {
  return new Fc7Error(
    'SIZE_MISMATCH',
    `${source.url} has ${total} bytes; ${source.bytes ?? maxUnknownBytes} were expected.`,
    {
      hint: 'The server gives another file than the card means. Try again later, or correct the card.',
    },
  )
}

/** One request. Returns when the body has ended; throws Transient or Fc7Error. */
async function tryOnce(
  source: UrlSource,
  partial: Partial_,
  dispatcher: Dispatcher,
  context: FetchContext,
  task: ProgressTask,
): Promise<void> {
  const resumed = partial.size > 0
  const headers: Record<string, string> = { 'accept-encoding': 'identity', 'user-agent': 'fc7' }
  if (resumed) {
    headers.range = `bytes=${partial.size}-`
    if (partial.validator) headers['if-range'] = partial.validator
  }
  const response = await getFollowing(source.url, headers, dispatcher, context).catch((error: unknown) => {
    if (error instanceof Fc7Error) throw error
    throw new Transient(networkReason(error))
  })
  const { statusCode } = response
  // An unread body would hold its connection; nobody listens to its errors any more.
  const discard = (): void => {
    response.body.on('error', () => {})
    response.body.destroy()
  }
  if (statusCode === 416) {
    discard()
    await dropPartial(partial)
    throw new Transient('the server refused to resume')
  }
  if (statusCode !== 200 && statusCode !== 206) {
    discard()
    if (statusCode === 408 || statusCode === 429 || statusCode >= 500)
      throw new Transient(`the server answered ${statusCode}`, retryAfterMs(response.headers['retry-after']))
    throw new Fc7Error('FETCH_STATUS', `${source.url} cannot be fetched: the server answered ${statusCode}.`, {
      hint:
        statusCode === 404 || statusCode === 410
          ? 'The file is gone from there. Fetch it elsewhere by hand, or correct the card.'
          : 'Check the address, the proxy settings and whether access needs a login.',
    })
  }
  if (statusCode === 206) {
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(String(response.headers['content-range'] ?? ''))
    if (!range || Number(range[1]) !== partial.size) {
      discard()
      await dropPartial(partial)
      throw new Transient('the server resumed at a wrong place')
    }
  } else startOver(partial)

  const declared = Number(response.headers['content-length'] ?? Number.NaN)
  const limit = source.bytes ?? maxUnknownBytes
  if (Number.isFinite(declared) && partial.size + declared > limit) {
    discard()
    throw tooLong(source, partial.size + declared)
  }
  partial.validator = validatorOf(response.headers)
  await writeFile(
    partial.notePath,
    JSON.stringify({ sha256: source.sha256, url: source.url, validator: partial.validator }),
  )
  const handle = await open(partial.path, partial.size > 0 ? 'r+' : 'w')
  try {
    let end = partial.size
    try {
      for await (const chunk of response.body) {
        const bytes = chunk as Buffer
        if (end + bytes.length > limit) throw tooLong(source, end + bytes.length)
        await handle.write(bytes, 0, bytes.length, end)
        partial.hash.update(bytes)
        end += bytes.length
        partial.size = end
        task.update(end)
      }
    } catch (error) {
      if (error instanceof Fc7Error) throw error
      if (['ENOSPC', 'EDQUOT', 'EROFS', 'EIO'].includes(systemCode(error) ?? ''))
        throw explainWriteError(error, partial.path)
      throw new Transient(networkReason(error))
    }
    await handle.sync()
  } finally {
    await handle.close()
    discard()
  }
  if (source.bytes !== undefined && partial.size < source.bytes)
    throw new Transient(`the connection ended after ${partial.size} of ${source.bytes} bytes`)
}

/**
 * Fetches one file: streamed into `<destination>.partial`, resumed by Range where a partial file is left from before,
 * tried again with growing pauses, and renamed to `destination` only when size and sha256 check. Proxies come from
 * HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
 *
 * @throws Fc7Error FETCH_STATUS, FETCH_NETWORK, SIZE_MISMATCH, HASH_MISMATCH, REDIRECT_REFUSED, WRITE_*, INTERRUPTED
 */
export async function download(source: UrlSource, destination: string, context: FetchContext): Promise<void> {
  const { attempts, backoffMs, stallMs } = context.patience
  const partial = await openPartial(source, destination)
  const dispatcher = new EnvHttpProxyAgent({
    headersTimeout: stallMs,
    bodyTimeout: stallMs,
    connect: { timeout: stallMs },
  })
  const task = context.progress.task({
    label: basename(destination),
    unit: 'bytes',
    total: source.bytes,
  })
  try {
    let fruitless = 0
    for (;;) {
      const before = partial.size
      try {
        if (!(before > 0 && before === source.bytes)) await tryOnce(source, partial, dispatcher, context, task)
        const actual = partial.hash.digest('hex')
        if (actual === source.sha256) break
        await dropPartial(partial)
        // Joined from two tries, it may be the join that is wrong: once more from the start.
        if (before > 0) throw new Transient('the resumed file has a wrong sha256')
        throw new Fc7Error('HASH_MISMATCH', `${source.url} has sha256 ${actual}; ${source.sha256} was expected.`, {
          hint: 'Nothing was kept. The server gives another file, or something on the way changes it.',
        })
      } catch (error) {
        if (context.signal?.aborted) throw new InterruptedError(`Fetching ${source.url}`)
        if (error instanceof Fc7Error) {
          if (error.code === 'SIZE_MISMATCH') await dropPartial(partial)
          throw error
        }
        if (!(error instanceof Transient)) throw explainWriteError(error, partial.path)
        fruitless = partial.size - before >= fruitfulBytes ? 1 : fruitless + 1
        if (fruitless >= attempts) {
          throw new Fc7Error('FETCH_NETWORK', `${source.url} cannot be fetched: ${error.message}.`, {
            hint:
              partial.size > 0
                ? `${partial.size} bytes are kept; the same command goes on from there.`
                : 'Check the network and the proxy settings (HTTPS_PROXY, NO_PROXY), then run the same command again.',
            cause: error,
          })
        }
        await pause(Math.max(error.afterMs, backoffMs * 2 ** (fruitless - 1)), context.signal)
        if (context.signal?.aborted) throw new InterruptedError(`Fetching ${source.url}`)
      }
    }
    await rename(partial.path, destination)
    await rm(partial.notePath, { force: true })
    await syncFolder(dirname(destination))
  } finally {
    task.end()
    await dispatcher.destroy().catch(() => {})
  }
}
