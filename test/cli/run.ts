import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterAll } from '@jest/globals'
import { undocumented } from './documented.js'

const bin = fileURLToPath(new URL('../../bin/fc7.js', import.meta.url))

export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

interface Surroundings {
  readonly cwd?: string
  readonly env?: Record<string, string>
}

export interface RunOptions extends Surroundings {
  readonly interruptWhen?: RegExp
  readonly interruptOn?: Promise<unknown>
  /** Called with everything that stderr has said so far. */
  readonly onStderr?: (said: string) => void
}

/** What a run said, once its JSON is found to hold nothing that docs/json.md does not tell of. */
function told(args: readonly string[], outcome: Outcome): Outcome {
  const fields = outcome.code === 0 && args.includes('--json') ? undocumented(args, outcome.stdout) : []
  if (fields.length > 0) throw new Error(`docs/json.md does not tell of ${fields.join(', ')}`)
  return outcome
}

/**
 * Runs the built command as a user does, in a process of its own: for signals, for what a process leaves, once a
 * command.
 */
export function fc7(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return node([bin, ...args], options).then((outcome) => told(args, outcome))
}

/** Runs a script with the same Node, in a process of its own. */
export function node(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return new Promise<Outcome>((resolve, reject) => {
    const child = spawn(process.execPath, [...args], {
      cwd: options.cwd,
      env: { ...process.env, FC7_OFFLINE: '1', ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    let interrupted = false
    child.stdout.on('data', (part) => {
      stdout += part
    })
    child.stderr.on('data', (part) => {
      stderr += part
      options.onStderr?.(stderr)
      if (!interrupted && options.interruptWhen?.test(stderr)) {
        interrupted = true
        child.kill('SIGINT')
      }
    })
    options.interruptOn?.then(() => child.kill('SIGINT'))
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
}

let warm: ChildProcess | undefined
let lastRun: Promise<unknown> = Promise.resolve()
afterAll(async () => {
  if (!warm) return
  const ended = once(warm, 'exit')
  warm.disconnect()
  await ended
})

/**
 * Runs the built command in a process that serves all such runs of a test file, one after another: most of a short run
 * is the start of Node and the loading of libraries. It has the arguments, folder, environment, exit code and streams
 * of a process of its own, and a run that leaves something which would keep a process from ending fails.
 */
export function fc7Warm(args: readonly string[], surroundings: Surroundings = {}): Promise<Outcome> {
  const run = lastRun.then(async () => told(args, await inWarmProcess({ args, ...surroundings })))
  lastRun = run.catch(() => {})
  return run
}

function inWarmProcess(request: { args: readonly string[] } & Surroundings): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = warm ?? startWarm()
    warm = child
    const said = { stdout: '', stderr: '' }
    const [out, err] = [child.stdout!, child.stderr!]
    const settle = (act: () => void): void => {
      for (const stream of [out, err]) stream.removeAllListeners('data')
      child.removeAllListeners('close')
      act()
    }
    const listen = (name: 'stdout' | 'stderr') => (part: string) => {
      said[name] += part
      const [stdout, code] = said.stdout.split('\0')
      const [stderr, ended] = said.stderr.split('\0')
      if (!code?.endsWith('\n') || !ended?.endsWith('\n')) return
      settle(() =>
        code === 'failed\n'
          ? reject(new Error(stderr))
          : resolve({ code: Number(code), stdout: stdout!, stderr: stderr! }),
      )
    }
    out.on('data', listen('stdout'))
    err.on('data', listen('stderr'))
    child.on('close', (code) => {
      warm = undefined
      settle(() => resolve({ code, ...said }))
    })
    child.send(request)
  })
}

function startWarm(): ChildProcess {
  const child = spawn(process.execPath, [fileURLToPath(new URL('./warm-process.mjs', import.meta.url))], {
    env: { ...process.env, FC7_OFFLINE: '1' },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  for (const stream of [child.stdout!, child.stderr!]) stream.setEncoding('utf8')
  return child
}

/** The lines of an error as the house writes them: what, then what to do. */
export const errorLines = (outcome: Outcome): string[] => outcome.stderr.trim().split('\n').slice(-2)
