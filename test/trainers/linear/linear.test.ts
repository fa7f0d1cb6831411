import { describe, expect, it } from '@jest/globals'
import type { Trainer, TrainingSet, WarmStart } from '../../../src/trainers/contract.js'
import { chooseSolver, type SvmLoss } from '../../../src/trainers/linear/choice.js'
import { linearSvm } from '../../../src/trainers/linear/linear-svm.js'
import { logistic } from '../../../src/trainers/linear/logistic.js'
import type { LinearModel } from '../../../src/trainers/linear/model.js'
import { dualOnGram } from '../../../src/trainers/linear/solvers/gram-dual.js'
import { squaredHinge } from '../../../src/trainers/linear/solvers/margin-losses.js'
import { solveLinear } from '../../../src/trainers/linear/solvers/margin-solver.js'
import { primalSpace } from '../../../src/trainers/linear/solvers/space.js'
import { resolveParams } from '../../../src/trainers/params.js'
import {
  accuracy,
  clusters,
  digits,
  iris,
  largeC,
  largestDifference,
  neighbours,
  pairProducts,
  reference,
  takeRows,
} from '../data.js'

const sets = { iris: iris(), digits: digits() }
const fitted = (trainer: Trainer, set: TrainingSet, params: Record<string, string>): Promise<LinearModel> =>
  trainer.fit(set, { params: resolveParams(trainer.params, params), seed: 0, threads: 1 }) as Promise<LinearModel>

describe.each(['iris', 'digits'] as const)('linear trainers agree with scikit-learn on %s', (name) => {
  const { train, test } = sets[name]
  const classes = train.classes.length

  it.each([
    ['squared_hinge', 1e-2],
    ['hinge', 2e-2],
  ])('LinearSVC, %s', async (loss, tolerance) => {
    const known = reference[name][`linear-svm:${loss}`]
    const model = await fitted(linearSvm, train, {
      loss,
      tol: loss === 'hinge' ? '1e-6' : '1e-7',
      C: '1',
      max_iter: '20000',
    })
    expect(model.facts.objective as number).toBeCloseTo(known.objective, 2)
    expect(largestDifference(model.parts.weights, known.coef.flat())).toBeLessThan(tolerance)
    expect(largestDifference(model.parts.bias, known.intercept)).toBeLessThan(tolerance)
    expect(accuracy(await model.scores(test.x), test.y, classes)).toBe(known.accuracy)
  })

  it('LogisticRegression', async () => {
    const known = reference[name].logistic
    const model = await fitted(logistic, train, { tol: '1e-9', C: '10', max_iter: '20000' })
    expect((model.facts.objective as number) / known.objective).toBeCloseTo(1, 6)
    const proba = await model.scores(test.x)
    expect(largestDifference(proba.subarray(0, 20 * classes), known.proba.flat())).toBeLessThan(1e-3)
    expect(largestDifference(model.parts.weights, known.coef.flat())).toBeLessThan(1e-2)
    expect(accuracy(proba, test.y, classes)).toBe(known.accuracy)
  })

  it('LogisticRegression at C = 10000', async () => {
    const known = neighbours[name]['logistic 10000']
    const model = await fitted(logistic, train, { tol: '1e-9', C: '10000', max_iter: '20000' })
    // Products are float32: on so flat a bottom the line search ends a few 1e-5 above what float64 finds, and says so.
    expect(Math.abs((model.facts.objective as number) / known.objective - 1)).toBeLessThan(1e-4)
    // Along the bottom the coefficients of iris' four correlated columns move far (0.7 of 9) and change next to no
    // probability.
    const largest = Math.max(...known.coef.flat().map(Math.abs))
    if (name === 'digits')
      expect(largestDifference(model.parts.weights, known.coef.flat())).toBeLessThan(1e-2 * largest)
    const proba = await model.scores(test.x)
    expect(largestDifference(proba.subarray(0, known.proba.flat().length), known.proba.flat())).toBeLessThan(1e-2)
  })

  it('LogisticRegression with two classes', async () => {
    const known = reference[name]['logistic:binary']
    const rows = [...train.y.keys()].filter((i) => train.y[i]! < 2)
    const two = { ...takeRows(train, rows), classes: train.classes.slice(0, 2) }
    const model = await fitted(logistic, two, { tol: '1e-9', C: '10', max_iter: '20000' })
    const proba = await model.scores(takeRows(test, [...Array(20).keys()]).x)
    expect(largestDifference(proba, known.proba.flat())).toBeLessThan(1e-3)
  })
})

it('solves the same problem on the Gram matrix and on the rows', async () => {
  // 60 × 300 goes to the Gram matrix; doubling every row, at half the cost, is the same problem and goes to the rows.
  const few = clusters(60, 300, 3)
  const rows = Array.from({ length: 60 * 12 }, (_, i) => i % 60)
  const many = takeRows(few, rows)
  for (const [trainer, c] of [
    [linearSvm, 0.02],
    [logistic, 0.1],
  ] as const) {
    const gram = await fitted(trainer, few, { C: String(c), tol: '1e-8' })
    const primal = await fitted(trainer, many, { C: String(c / 12), tol: '1e-8' })
    if (trainer === linearSvm)
      expect([gram.facts.solver, primal.facts.solver]).toEqual(['dual coordinate descent on the Gram matrix', 'L-BFGS'])
    expect((gram.facts.objective as number) / (primal.facts.objective as number)).toBeCloseTo(1, 6)
    expect(largestDifference(gram.parts.weights, primal.parts.weights)).toBeLessThan(1e-3)
  }
})

it.each([
  ['hinge', 60, 300, 'dual coordinate descent on the Gram matrix'],
  ['hinge', 300, 40, 'dual coordinate descent'],
  ['squared_hinge', 60, 300, 'dual coordinate descent on the Gram matrix'],
  ['squared_hinge', 900, 40, 'L-BFGS'],
])('%s of %i rows of %i columns is solved by %s', async (loss, rows, cols, solver) => {
  expect((await fitted(linearSvm, clusters(rows, cols, 3), { loss })).facts.solver).toBe(solver)
})

/** Squared hinge of three classes by L-BFGS from zero. */
async function primal(
  x: TrainingSet['x'],
  y: Int32Array,
  cost: Float64Array,
  options: { readonly tolerance: number; readonly maxIterations: number },
) {
  const margins = squaredHinge(y, 3, cost)
  const space = await primalSpace(x, { columns: 3, penaliseBias: true, threads: 1, order: margins.order })
  const { w, objective } = await solveLinear(space, margins, { ...options, penaliseBias: true })
  return { ...(await space.weights(w)), objective: objective.reduce((a, b) => a + b) }
}

describe('the solver of a linear SVM', () => {
  const sparseOf = (set: TrainingSet, share: number): TrainingSet => {
    // The largest numbers stay, less the threshold, as after a ReLU.
    const cut = Float32Array.from(set.x.data).sort()[Math.floor((1 - share) * set.x.data.length)]!
    return { ...set, x: { ...set.x, data: set.x.data.map((v) => Math.max(0, v - cut)) } }
  }

  it('follows rows, columns and how many numbers are not zero', () => {
    const at = (loss: SvmLoss, rows: number, cols: number, share: number, columns = 10) =>
      chooseSolver(loss, { rows, cols, columns, entries: share * cols })
    const [sparse, gram, dense] = [
      'dual coordinate descent',
      'dual coordinate descent on the Gram matrix',
      'L-BFGS',
    ] as const
    // The winners that were measured, each by a quarter or more.
    expect(at('squared_hinge', 300, 2048, 0.2)).toBe(gram)
    expect(at('squared_hinge', 1000, 2048, 0.05)).toBe(sparse)
    expect(at('squared_hinge', 1000, 2048, 0.2)).toBe(gram)
    expect(at('squared_hinge', 3000, 512, 0.05)).toBe(sparse)
    expect(at('squared_hinge', 3000, 512, 0.5)).toBe(dense)
    expect(at('squared_hinge', 3000, 2048, 0.05)).toBe(sparse)
    expect(at('squared_hinge', 5000, 4096, 0.05, 20)).toBe(sparse)
    expect(at('squared_hinge', 5000, 4096, 0.2, 20)).toBe(dense)
    expect(at('hinge', 300, 2048, 0.3)).toBe(gram)
    expect(at('hinge', 1000, 2048, 0.02)).toBe(sparse)
    expect(at('hinge', 1000, 2048, 0.3)).toBe(gram)
    expect(at('hinge', 3000, 2048, 0.1)).toBe(sparse)
    // A Gram matrix of more rows is not held.
    expect(at('hinge', 9000, 4096, 1)).toBe(sparse)
    expect(at('squared_hinge', 9000, 4096, 1)).toBe(dense)
  })

  it.each(['squared_hinge', 'hinge'] as const)(
    'ends at the objective of the others on sparse rows: %s',
    async (loss) => {
      const set = sparseOf(clusters(500, 300, 3), 0.05)
      const model = await fitted(linearSvm, set, { loss, tol: '1e-7', max_iter: '20000' })
      expect([model.facts.solver, model.facts.converged]).toEqual(['dual coordinate descent', 'yes'])
      const { x, y } = set
      const cost = new Float64Array(500).fill(1)
      const options = { tolerance: 1e-7, maxIterations: 20_000, threads: 1 }
      const others = [await dualOnGram(x, y, cost, 3, { ...options, loss })]
      if (loss === 'squared_hinge') others.push({ ...others[0]!, ...(await primal(x, y, cost, options)) })
      for (const other of others) {
        expect((model.facts.objective as number) / other.objective).toBeCloseTo(1, 6)
        expect(largestDifference(model.parts.weights, other.weights)).toBeLessThan(2e-3)
      }
    },
  )

  it('gives rows that descent cannot tell apart to L-BFGS', async () => {
    const { x, y, classes } = sparseOf(clusters(600, 40, 3, 1, 3), 0.08)
    const model = await fitted(linearSvm, { x, y, classes }, { C: '1000' })
    expect(model.facts).toMatchObject({ solver: 'dual coordinate descent, then L-BFGS', converged: 'yes' })
    expect(model.facts.iterations).toBeGreaterThan(300)
    const cost = new Float64Array(600).fill(1000)
    const best = await primal(x, y, cost, { tolerance: 1e-6, maxIterations: 20_000 })
    expect((model.facts.objective as number) / best.objective).toBeCloseTo(1, 4)
    const few = await fitted(linearSvm, { x, y, classes }, { C: '1000', max_iter: '200' })
    expect(few.facts).toMatchObject({ solver: 'dual coordinate descent', converged: 'no' })
  })

  it.each(['squared_hinge', 'hinge'] as const)(
    'goes on from where another C ended, on sparse rows: %s',
    async (loss) => {
      const set = sparseOf(clusters(500, 300, 3), 0.05)
      const params = (c: number) => resolveParams(linearSvm.params, { loss, C: c, tol: 1e-7, max_iter: 20_000 })
      const warm: WarmStart = {}
      await linearSvm.fit(set, { params: params(1), seed: 0, threads: 1, warm })
      const passes: number[] = []
      for (const c of [1, 1.05]) {
        const next = await linearSvm.fit(set, { params: params(c), seed: 0, threads: 1, warm })
        const cold = await linearSvm.fit(set, { params: params(c), seed: 0, threads: 1 })
        expect((next.facts.objective as number) / (cold.facts.objective as number)).toBeCloseTo(1, 6)
        passes.push((next.facts.iterations as number) / (cold.facts.iterations as number))
      }
      expect(passes[0]).toBeLessThan(0.5)
      expect(passes[1]).toBeLessThan(1)
    },
  )
})

// Neither reaches such a tolerance: each would go on for minutes.
it.each([
  ['on the rows', 2000, 30],
  ['on the Gram matrix', 1500, 400],
])('the hinge, %s, hears from the event loop that it should stop', async (_name, rows, cols) => {
  const signal = AbortSignal.timeout(200)
  const set = clusters(rows, cols, 2, 1, 6)
  const params = resolveParams(linearSvm.params, { loss: 'hinge', C: '1e6', tol: '1e-10', max_iter: '100000' })
  await expect(linearSvm.fit(set, { params, seed: 0, threads: 1, signal })).rejects.toMatchObject({
    code: 'INTERRUPTED',
  })
})

describe('a large C', () => {
  const { train } = sets.digits
  // Products of two pixels each: 240 separable rows of 2080 columns.
  const wide = (): TrainingSet => pairProducts(takeRows(train, [...Array(240).keys()]))

  it.each(Object.entries(largeC))('has the objective of LinearSVC: %s', async (name, known) => {
    const [shape, loss, c] = name.split(' ') as [string, string, string]
    const model = await fitted(linearSvm, shape === 'wide' ? wide() : train, { loss, C: c })
    expect(model.facts.converged).toBe('yes')
    expect(Math.abs((model.facts.objective as number) / known - 1)).toBeLessThan(1e-4)
  })

  it.each(['hinge', 'squared_hinge'])('says that it was not given the steps to converge: %s', async (loss) => {
    for (const set of [wide(), train]) {
      const model = await fitted(linearSvm, set, { loss, C: '10000', max_iter: '2' })
      expect(model.facts.converged).toBe('no')
    }
  })
})

it('counts a row of weight 2 as two rows', async () => {
  const set = clusters(40, 10, 2)
  const doubled = takeRows(set, [...Array(40).keys(), ...Array(20).keys()])
  const weighted = { ...set, weights: Float64Array.from({ length: 40 }, (_, i) => (i < 20 ? 2 : 1)) }
  for (const [trainer, params] of [
    [linearSvm, { tol: '1e-8' }],
    [linearSvm, { tol: '1e-8', loss: 'hinge', max_iter: '20000' }],
    [logistic, { tol: '1e-8' }],
  ] as const) {
    const a = await fitted(trainer, doubled, params)
    const b = await fitted(trainer, weighted, params)
    expect(largestDifference(a.parts.weights, b.parts.weights)).toBeLessThan(2e-3)
  }
})

it('walks a regularisation path from one solution to the next, to where fits from zero end', async () => {
  const path = [0.01, 0.1, 1, 10, 100]
  // On the Gram matrix and on the rows.
  for (const set of [clusters(60, 300, 3), clusters(900, 40, 4)]) {
    for (const trainer of [linearSvm, logistic]) {
      const warm: WarmStart = {}
      for (const c of path) {
        const params = resolveParams(trainer.params, { C: String(c), tol: '1e-7' })
        const context = { params, seed: 0, threads: 1 }
        const next = (await trainer.fit(set, { ...context, warm })) as LinearModel
        const cold = (await trainer.fit(set, context)) as LinearModel
        // Where C makes the problem hard, a fit from zero may stop short of what the path finds; never the other way
        // round.
        const ratio = (next.facts.objective as number) / (cold.facts.objective as number)
        expect(ratio).toBeLessThan(1 + 1e-5)
        if (c <= 1) {
          expect(ratio).toBeCloseTo(1, 4)
          const largest = cold.parts.weights.reduce((top, w) => Math.max(top, Math.abs(w)), 0)
          expect(largestDifference(next.parts.weights, cold.parts.weights)).toBeLessThan(1e-2 * largest)
        }
      }
    }
  }
})
