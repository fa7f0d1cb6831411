import { type Dispatcher, request } from 'undici'
import { Fc7Error, messageOf, systemCode } from '../errors.js'
import type { FetchContext } from './contract.js'

const maxRedirects = 10
/**
 * Buffer for a body that comes faster than the disk takes it. It is large because undici 7.30 dies of an assertion when
 * a connection closes early while its parser is paused, and the parser pauses when this buffer is full.
 */
const bodyBufferBytes = 64 * 2 ** 20

/** Why a request failed, in words. */
export function networkReason(error: unknown): string {
  const code = systemCode(error) ?? systemCode((error as { cause?: unknown | undefined } | undefined)?.cause)
  const words: Record<string, string> = {
    ENOTFOUND: 'the server’s name cannot be found',
    EAI_AGAIN: 'the server’s name cannot be looked up',
    ECONNREFUSED: 'the server refuses connections',
    ECONNRESET: 'the connection was reset',
    ETIMEDOUT: 'the connection timed out',
    UND_ERR_CONNECT_TIMEOUT: 'the connection timed out',
    UND_ERR_HEADERS_TIMEOUT: 'the server did not answer in time',
    UND_ERR_BODY_TIMEOUT: 'the connection stalled',
    UND_ERR_SOCKET: 'the connection broke off',
    UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'the answer is not as long as the server said',
  }
  return (code && words[code]) ?? messageOf(error)
}

/**
 * GET with redirects followed by hand: at most ten, only to http or https, and never from https down to http.
 *
 * @throws Fc7Error REDIRECT_REFUSED; anything of undici's
 */
export async function getFollowing(
  address: string,
  headers: Record<string, string>,
  dispatcher: Dispatcher,
  context: FetchContext,
): Promise<Dispatcher.ResponseData> {
  let here = address
  const refuse = (why: string): Fc7Error =>
    new Fc7Error('REDIRECT_REFUSED', `${address} cannot be fetched: ${why}.`, {
      hint: 'Fetch the file by hand from a place you trust, or correct the address in the card.',
    })
  for (let hop = 0; hop <= maxRedirects; hop++) {
    const response = await request(here, {
      method: 'GET',
      headers,
      dispatcher,
      highWaterMark: bodyBufferBytes,
      signal: context.signal,
    })
    if (![301, 302, 303, 307, 308].includes(response.statusCode)) return response
    response.body.on('error', () => {})
    response.body.destroy()
    const location = response.headers.location
    if (typeof location !== 'string' || !URL.canParse(location, here)) throw refuse('it redirects to no valid address')
    const next = new URL(location, here)
    if (next.protocol !== 'https:' && next.protocol !== 'http:') throw refuse(`it redirects to ${next.protocol}`)
    if (here.startsWith('https:') && next.protocol === 'http:') throw refuse('it redirects from https down to http')
    here = next.href
  }
  throw refuse(`it redirects more than ${maxRedirects} times`)
}
