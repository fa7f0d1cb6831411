import { randomBytes } from 'node:crypto'
import { link, mkdir, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import { InterruptedError, systemCode } from '../errors.js'
import { explainWriteError } from '../files.js'
import type { FetchContext } from './contract.js'
import { pause } from './pause.js'

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return systemCode(error) === 'EPERM'
  }
}

/**
 * Whether the holder of a lock is gone: dead on this machine, or silent for too long on another (or with its number
 * reused).
 */
async function isAbandoned(lock: string, content: string, staleMs: number): Promise<boolean> {
  const [host, pid] = content.split('\n')
  if (host === hostname() && /^\d+$/.test(pid ?? '') && !isAlive(Number(pid))) return true
  try {
    return Date.now() - (await stat(lock)).mtimeMs > staleMs
  } catch {
    return false
  }
}

/**
 * Removes an abandoned lock. Renaming first lets only one of several processes win; a fresh lock caught by mistake goes
 * back.
 */
async function removeAbandoned(lock: string, content: string): Promise<void> {
  const aside = `${lock}.${randomBytes(6).toString('hex')}`
  try {
    await rename(lock, aside)
    if ((await readFile(aside, 'utf8')) !== content) await link(aside, lock)
  } catch {
    // Somebody else was faster.
  }
  await rm(aside, { force: true })
}

/**
 * Runs `work` while holding `<destination>.lock`, so that two processes pulling the same thing take turns; the second
 * then finds it there. The file says host and process, and its time is renewed as a sign of life; a lock whose process
 * is gone is taken over.
 */
export async function withLock<T>(destination: string, context: FetchContext, work: () => Promise<T>): Promise<T> {
  const lock = `${destination}.lock`
  const mine = `${hostname()}\n${process.pid}\n${randomBytes(6).toString('hex')}\n`
  let announced = false
  for (;;) {
    if (context.signal?.aborted) throw new InterruptedError(`Waiting for ${lock}`)
    try {
      await mkdir(dirname(lock), { recursive: true })
      const handle = await open(lock, 'wx')
      try {
        await handle.writeFile(mine)
      } finally {
        await handle.close()
      }
      break
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw explainWriteError(error, lock)
    }
    const content = await readFile(lock, 'utf8').catch(() => undefined)
    if (content !== undefined && (await isAbandoned(lock, content, context.patience.lockStaleMs))) {
      await removeAbandoned(lock, content)
      continue
    }
    if (!announced) context.progress.say(`Another process is fetching ${destination}; waiting for it.`)
    announced = true
    await pause(context.patience.lockPollMs, context.signal)
  }
  const heartbeat = setInterval(
    () => {
      const now = new Date()
      utimes(lock, now, now).catch(() => {})
    },
    Math.max(10, context.patience.lockStaleMs / 5),
  )
  heartbeat.unref()
  try {
    return await work()
  } finally {
    clearInterval(heartbeat)
    if ((await readFile(lock, 'utf8').catch(() => undefined)) === mine) await rm(lock, { force: true })
  }
}
