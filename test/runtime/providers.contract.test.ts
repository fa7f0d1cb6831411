import { describe, expect, it } from '@jest/globals'
import type { ExecutionProvider, Trial } from '../../src/runtime/providers/contract.js'
import { probeProvider } from '../../src/runtime/providers/probe.js'
import { chooseProvider, executionProviders, getProvider, tryProvider } from '../../src/runtime/providers/registry.js'

const trials = new Map<string, Promise<Trial>>()
/** Each provider is tried once: a trial is a process. */
const trialOf = (provider: ExecutionProvider): Promise<Trial> => {
  const known = trials.get(provider.id)
  if (known) return known
  const trial = tryProvider(provider)
  trials.set(provider.id, trial)
  return trial
}

describe.each(executionProviders.map((provider) => [provider.id, provider] as const))(
  'the provider %s',
  (id, provider) => {
    it('has a name of its own, a title, a batch bound, and is found by its name', () => {
      expect(executionProviders.filter((other) => other.id === id)).toHaveLength(1)
      expect(provider.title).not.toBe('')
      expect(provider.sessionProviders[0]).toBe(id)
      expect(provider.maxBatch).toBeGreaterThanOrEqual(1)
      expect(getProvider(id)).toBe(provider)
    })

    it('says what to do when it fails, naming a command or another provider', () => {
      expect(provider.fix('it is broken')).toMatch(/--provider cpu|npm /)
    })

    it('either works with the CPU’s numbers or says why not and what to do; nothing in between', async () => {
      const trial = await trialOf(provider)
      if (trial.works) expect(await probeProvider(provider)).toMatchObject({ works: true })
      else {
        expect(trial.reason).not.toBe('')
        expect(trial.fix).not.toBe('')
      }
    })

    it('asked for by name is taken, or is an error with the fix: never another one', async () => {
      const trial = await trialOf(provider)
      const chosen = chooseProvider(id, trialOf)
      if (trial.works) expect(await chosen).toBe(provider)
      else
        await expect(chosen).rejects.toMatchObject({
          code: 'PROVIDER_FAILED',
          message: expect.stringContaining(`"${id}"`),
          hint: trial.fix,
        })
    })
  },
)

describe('auto', () => {
  const working =
    (...ids: string[]) =>
    async ({ id }: ExecutionProvider): Promise<Trial> =>
      ids.includes(id) ? { works: true } : { works: false, reason: 'no such device', fix: 'buy one' }

  it('takes the fastest that works', async () => {
    expect((await chooseProvider('auto', working('cpu', 'webgpu', 'cuda'))).id).toBe('cuda')
    expect((await chooseProvider('auto', working('cpu', 'webgpu'))).id).toBe('webgpu')
    expect((await chooseProvider('auto', working('cpu'))).id).toBe('cpu')
  })

  it('refuses a name that nobody has', async () => {
    await expect(chooseProvider('tpu')).rejects.toMatchObject({ code: 'PROVIDER_UNKNOWN' })
  })
})
