import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Fc7Error, messageOf } from '../../base/errors.js'
import type { ExecutionProvider, Trial } from './contract.js'
import { cpu } from './cpu.js'
import { cuda } from './cuda.js'
import { webgpu } from './webgpu.js'

/** All providers, the always present one first. */
export const executionProviders: readonly ExecutionProvider[] = [cpu, cuda, webgpu]

/** @throws Fc7Error PROVIDER_UNKNOWN */
export function getProvider(id: string): ExecutionProvider {
  const found = executionProviders.find((provider) => provider.id === id)
  if (!found) {
    throw new Fc7Error('PROVIDER_UNKNOWN', `There is no execution provider "${id}".`, {
      hint: `Choose one of: auto, ${executionProviders.map((provider) => provider.id).join(', ')}.`,
    })
  }
  return found
}

const trialTimeoutMs = 30_000

/**
 * Tries a provider for real, in a process of its own: creates a session, runs a small graph and compares its numbers
 * with the CPU's. A provider that is merely listed proves nothing.
 */
export function tryProvider(provider: ExecutionProvider): Promise<Trial> {
  return new Promise((resolve) => {
    const child = fork(
      fileURLToPath(import.meta.resolve('#workers/runtime/providers/trial-process.js')),
      [provider.id],
      {
        stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
        timeout: trialTimeoutMs,
        execArgv: [],
      },
    )
    child.once('message', (trial) => resolve(trial as Trial))
    child.once('error', (error) =>
      resolve({ works: false, reason: messageOf(error), fix: provider.fix(messageOf(error)) }),
    )
    child.once('exit', (code, signal) => {
      const reason = `its trial ended with ${signal ?? `code ${code}`}`
      resolve({ works: false, reason, fix: provider.fix(reason) })
    })
  })
}

const tried = new Map<ExecutionProvider, Promise<Trial>>()

/**
 * A provider is tried once a process. The CPU needs no trial: where it does not work, nothing does, and the session
 * itself says so.
 */
function trialOnce(provider: ExecutionProvider): Promise<Trial> {
  if (provider === cpu) return Promise.resolve({ works: true })
  const trial = tried.get(provider) ?? tryProvider(provider)
  tried.set(provider, trial)
  return trial
}

/**
 * The provider to use. `auto` takes the fastest that works; one asked for by name that does not work is an error, never
 * a silent fallback.
 *
 * @param trialOf how a provider is tried, for tests; default in a process of its own, once, and the CPU not at all
 * @throws Fc7Error PROVIDER_UNKNOWN, PROVIDER_FAILED
 */
export async function chooseProvider(
  wanted: string,
  trialOf: (provider: ExecutionProvider) => Promise<Trial> = trialOnce,
): Promise<ExecutionProvider> {
  if (wanted === 'auto') {
    for (const provider of [...executionProviders].sort((a, b) => b.speedRank - a.speedRank)) {
      if ((await trialOf(provider)).works) return provider
    }
    return cpu
  }
  const provider = getProvider(wanted)
  const trial = await trialOf(provider)
  if (!trial.works) {
    throw new Fc7Error('PROVIDER_FAILED', `The execution provider "${wanted}" does not work here: ${trial.reason}.`, {
      hint: trial.fix,
    })
  }
  return provider
}
