import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { undocumented } from './documented.js'

const bin = fileURLToPath(new URL('../../bin/fc7.js', import.meta.url))

export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly cwd?: string
  readonly env?: Record<string, string>
  readonly interruptWhen?: RegExp
  readonly interruptOn?: Promise<unknown>
}

/** Runs the built command as a user does, in a process of its own. */
export function fc7(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return node([bin, ...args], options)
}

/** Runs a script with the same Node, in a process of its own. */
export function node(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
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
      if (!interrupted && options.interruptWhen?.test(stderr)) {
        interrupted = true
        child.kill('SIGINT')
      }
    })
    options.interruptOn?.then(() => child.kill('SIGINT'))
    child.on('error', reject)
    child.on('close', (code) => {
      const fields = code === 0 && args.includes('--json') ? undocumented(args, stdout) : []
      if (fields.length > 0) reject(new Error(`docs/json.md does not tell of ${fields.join(', ')}`))
      else resolve({ code, stdout, stderr })
    })
  })
}

/** The lines of an error as the house writes them: what, then what to do. */
export const errorLines = (outcome: Outcome): string[] => outcome.stderr.trim().split('\n').slice(-2)
