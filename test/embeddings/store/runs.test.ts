import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from '@jest/globals'
import { measuredPace } from '../../../src/embeddings/store/runs.js'
import { machineFacts } from '../../../src/runtime/machine.js'

const made: string[] = []
afterAll(() => Promise.all(made.map((store) => rm(store, { recursive: true, force: true }))))

const paceOf = async (...runs: readonly object[]) => {
  const store = await mkdtemp(join(tmpdir(), 'fc7-runs-'))
  made.push(store)
  const text = runs.map((run) => JSON.stringify({ machine: machineFacts(), ...run })).join('\n')
  await writeFile(join(store, 'run.jsonl'), `${text}\n{"images": 9`)
  return measuredPace(store)
}

describe('the measured pace', () => {
  it('tells what starting took from what each image took', async () => {
    expect(await paceOf({ images: 100, seconds: 5, steady: { images: 80, seconds: 2.4 } })).toEqual({
      start: expect.closeTo(2),
      perImage: expect.closeTo(0.03),
    })
  })

  it('takes the largest run of this machine; too few images cannot be distinguished', async () => {
    const small = { images: 10, seconds: 5, steady: { images: 2, seconds: 0.1 } }
    const other = { ...small, images: 900, machine: { ...machineFacts(), cores: 4096 } }
    expect(await paceOf(small, other)).toEqual({ start: 0, perImage: 0.5 })
    expect(await paceOf(small, { images: 20, seconds: 4 })).toEqual({ start: 0, perImage: 0.2 })
    expect(await paceOf(other)).toBeUndefined()
  })
})
