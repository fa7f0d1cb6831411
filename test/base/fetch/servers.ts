import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'

export interface TestServer {
  readonly origin: string
  readonly requests: { path: string; range: string | undefined; ifRange: string | undefined }[]
  close(): Promise<void>
}

/** An HTTP server on a free port of this machine; `answer` does what the test wants, well or badly. */
export async function serve(
  answer: (request: IncomingMessage, response: ServerResponse, count: number) => void,
): Promise<TestServer> {
  const requests: TestServer['requests'] = []
  const server: Server = createServer((request, response) => {
    requests.push({
      path: request.url ?? '',
      range: request.headers.range,
      ifRange: request.headers['if-range'] as string | undefined,
    })
    answer(request, response, requests.length)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

/** Answers as a good server does, ranges and ETag included. */
export function answerFile(request: IncomingMessage, response: ServerResponse, body: Buffer, etag = '"v1"'): void {
  const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')
  const ifRange = request.headers['if-range']
  if (range && (ifRange === undefined || ifRange === etag)) {
    const start = Number(range[1])
    if (start >= body.length) {
      response.writeHead(416, { 'content-range': `bytes */${body.length}` }).end()
      return
    }
    response.writeHead(206, {
      etag,
      'content-range': `bytes ${start}-${body.length - 1}/${body.length}`,
      'content-length': body.length - start,
    })
    response.end(body.subarray(start))
    return
  }
  response.writeHead(200, { etag, 'content-length': body.length, 'accept-ranges': 'bytes' }).end(body)
}

export const sha256Of = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
export const sha512Of = (bytes: Buffer): string => `sha512-${createHash('sha512').update(bytes).digest('base64')}`

export interface TarEntry {
  readonly name: string
  readonly body?: Buffer
  /** '0' file, '2' symbolic link, '1' hard link, '5' folder. */
  readonly type?: string
  readonly link?: string
  /** Size written into the header, if it lies. */
  readonly size?: number
}

/** A tar archive written byte by byte, so that tests can make what no tool would. */
export function makeTar(entries: readonly TarEntry[]): Buffer {
  const parts: Buffer[] = []
  for (const { name, body = Buffer.alloc(0), type = '0', link = '', size = body.length } of entries) {
    const header = Buffer.alloc(512)
    header.write(name, 0, 100)
    header.write('0000644\0', 100)
    header.write('0000000\0', 108)
    header.write('0000000\0', 116)
    header.write(`${size.toString(8).padStart(11, '0')}\0`, 124)
    header.write('00000000000\0', 136)
    header.write('        ', 148)
    header.write(type, 156)
    header.write(link, 157, 100)
    header.write('ustar\x0000', 257)
    let sum = 0
    for (const byte of header) sum += byte
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
    parts.push(header, body, Buffer.alloc((512 - (body.length % 512)) % 512))
  }
  parts.push(Buffer.alloc(1024))
  return Buffer.concat(parts)
}

/** A package registry that knows one version of one package and hands out `served` as its tarball. */
export async function serveRegistry(
  name: string,
  version: string,
  tarball: Buffer,
  served = tarball,
): Promise<TestServer> {
  const server: TestServer = await serve((request, response) => {
    if (request.url === `/${name.replace('/', '%2f')}`) {
      const manifest = {
        name,
        version,
        dist: { tarball: `${server.origin}/-/${name}-${version}.tgz`, integrity: sha512Of(tarball) },
      }
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ name, 'dist-tags': { latest: version }, versions: { [version]: manifest } }))
    } else if (request.url?.startsWith(`/-/${name}`)) response.writeHead(200).end(served)
    else response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"not found"}')
  })
  return server
}

export const packTar = (files: Record<string, string>): Buffer =>
  gzipSync(makeTar(Object.entries(files).map(([name, text]) => ({ name: `package/${name}`, body: Buffer.from(text) }))))
