import { describe, expect, it } from '@jest/globals'
import { createRandom } from '../../src/base/random.js'
import { RandomCuts } from '../../src/trainers/trees/random-cuts.js'
import { ColumnDraw, type NodeRows, type TreeData } from '../../src/trainers/trees/search.js'
import { sumOf } from '../../src/trainers/trees/sweep.js'

const rows = 300
const cols = 30
const random = createRandom('cuts')
// Column 4 is constant, column 6 has negative values.
const x = Float32Array.from({ length: rows * cols }, (_, at) => {
  const f = at % cols
  return f === 4 ? 1 : f === 6 ? random.normal() : Math.max(0, random.normal())
})

describe.each(['gini', 'entropy'] as const)("extra-trees' cuts by %s", (criterion) => {
  it.each([
    [300, 5, 1],
    [150, 40, 1],
    [61, 5, 7],
    [7, 40, 1],
    [2, 3, 1],
  ])('of %d rows in %d classes are those of the definition, with %d rows in a leaf', (n, classes, minRows) => {
    const y = Int32Array.from({ length: rows }, () => random.int(classes))
    const forest = {
      codes: new Uint8Array(0),
      lists: new Uint16Array(0),
      lengths: new Int32Array(0),
      zeros: new Uint8Array(0),
    }
    const data: TreeData = { x, rows, cols, classes, y, codes: new Uint8Array(0), forest }
    const options = { criterion, tried: 9, minRows, minWeight: 1.5 }
    for (let trial = 0; trial < 20; trial++) {
      const list = Int32Array.from({ length: rows }, (_, i) => i)
      random.shuffle(list)
      const own = list.slice(0, n)
      const weights = Float64Array.from(own, () => 1 + random.int(3))
      const search = new RandomCuts(data, options, createRandom(trial))
      const { y: classOf, w, counts } = search.room
      own.forEach((row, k) => {
        classOf[k] = y[row]!
        w[k] = weights[k]!
        counts[y[row]!]! += weights[k]!
      })
      const worthOf = (list: readonly number[]): { weight: number; worth: number } => {
        const of = new Float64Array(classes)
        for (const k of list) of[y[own[k]!]!]! += weights[k]!
        const weight = of.reduce((a, b) => a + b, 0)
        const worth =
          criterion === 'gini' ? sumOf(of, criterion) / weight : sumOf(of, criterion) - weight * Math.log2(weight)
        return { weight, worth }
      }
      const all = [...own.keys()]
      const node: NodeRows = {
        rows: own,
        y: classOf,
        w,
        counts,
        from: 0,
        n,
        total: worthOf(all).weight,
        sum: sumOf(counts, criterion),
      }
      const twin = createRandom(trial)
      const draw = new ColumnDraw(cols, options.tried, twin)
      draw.first()
      draw.sort()
      const words = new Uint32Array(options.tried)
      twin.words(words)
      const best = { gain: Number.NEGATIVE_INFINITY, feature: -1, threshold: 0 }
      words.forEach((word, d) => {
        const feature = draw.columns[d]!
        const values = [...own].map((row) => x[row * cols + feature]!)
        const [low, top] = [Math.min(...values), Math.max(...values)]
        const threshold = Math.fround(low + (top - low) * (word / 2 ** 32))
        const right = worthOf(all.filter((k) => values[k]! > threshold))
        const left = worthOf(all.filter((k) => values[k]! <= threshold))
        const count = values.filter((value) => value > threshold).length
        if (low === top || Math.min(count, n - count) < minRows || Math.min(left.weight, right.weight) < 1.5) return
        const gain = left.worth + right.worth
        if (gain > best.gain + 1e-9) Object.assign(best, { gain, feature, threshold })
      })
      const cut = search.search(node)
      expect(cut.feature).toBe(best.feature)
      if (best.feature < 0) continue
      expect(cut.gain).toBeCloseTo(best.gain, 8)
      expect(cut.threshold).toBe(best.threshold)
    }
  })
})
