import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { carryTrainedOn, readTrainedOn } from '../../../src/evaluation/guards/trained-on.js'

let root = ''
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-trained-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

const list = { format: 1, kind: 'fc7-trained-on', backbone: 'b'.repeat(64), images: ['a'.repeat(64)], ids: ['x.png'] }

describe('the list of images that a backbone was trained on', () => {
  it('is read from a file or a folder, refused when broken, and travels into a store of the same backbone only', async () => {
    const tuned = join(root, 'tuned')
    await mkdir(tuned)
    expect(await readTrainedOn(tuned)).toBeUndefined()
    await writeFile(join(tuned, 'trained-on.json'), JSON.stringify(list))
    expect(await readTrainedOn(tuned)).toEqual(list)
    const stores = { own: join(root, 'own'), other: join(root, 'other') }
    for (const store of Object.values(stores)) await mkdir(store)
    await carryTrainedOn(join(tuned, 'model.onnx'), stores.own, list.backbone)
    await carryTrainedOn(join(tuned, 'model.onnx'), stores.other, 'c'.repeat(64))
    expect(await readTrainedOn(stores.own)).toEqual(list)
    expect(await readTrainedOn(stores.other)).toBeUndefined()
    await writeFile(join(tuned, 'trained-on.json'), JSON.stringify({ ...list, images: ['short'] }))
    await expect(readTrainedOn(tuned)).rejects.toMatchObject({ code: 'TRAINED_ON_BROKEN' })
  })
})
