import { expect, it } from '@jest/globals'
import { gradientBoosting } from '../../src/trainers/gradient-boosting.js'
import { type RawParams, resolveParams } from '../../src/trainers/params.js'
import { clusters } from './data.js'

/** The columns that each tree cuts. */
async function columnsOfTrees(cols: number, raw: RawParams): Promise<Set<number>[]> {
  const params = resolveParams(gradientBoosting.params, { rounds: 4, leaves: 31, leaf: 1, ...raw })
  const model = await gradientBoosting.fit(clusters(150, cols, 3, 1, 4), { params, seed: 3, threads: 1 })
  const { tensors } = model.save()
  const of = (name: string) => tensors.get(name)!.values as Int32Array
  const [roots, feature, left, right] = [of('roots'), of('feature'), of('left'), of('right')]
  return Array.from(roots, (root) => {
    const seen = new Set<number>()
    const walk = (node: number): void => {
      if (feature[node]! < 0) return
      seen.add(feature[node]!)
      walk(left[node]!)
      walk(right[node]!)
    }
    walk(root)
    return seen
  })
}

it('gradient boosting draws the share of the features that was asked for, anew for every tree', async () => {
  const all = await columnsOfTrees(40, { features: 1 })
  const some = await columnsOfTrees(40, { features: 0.1 })
  expect(Math.max(...all.map((seen) => seen.size))).toBeGreaterThan(8)
  for (const seen of some) expect(seen.size).toBeLessThanOrEqual(4)
  expect(new Set(some.flatMap((seen) => [...seen])).size).toBeGreaterThan(12)
})
