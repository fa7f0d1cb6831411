import { describe, expect, it } from '@jest/globals'
import { createRandom } from '../../src/base/random.js'
import { buildPhaseGraphs } from '../../src/finetune/plan/graphs.js'
import { buildHeaded } from '../../src/finetune/plan/headed.js'
import { lrFactors } from '../../src/finetune/plan/learning-rate.js'
import { headBias, headWeight } from '../../src/finetune/plan/network.js'
import { parseOptions } from '../../src/finetune/plan/options.js'
import { planFinetune } from '../../src/finetune/plan/plan.js'
import { namedRecipe } from '../../src/images/recipe/recipe.js'
import { encodeModel, GraphBuilder } from '../../src/onnx/build.js'
import type { GraphProto, NodeProto } from '../../src/onnx/generated/onnx_pb.js'
import { decodeModel } from '../../src/onnx/read.js'
import { graphOf } from '../../src/onnx/walk.js'
import { loadOrt } from '../../src/runtime/ort.js'
import { closeSession, openSession } from '../../src/runtime/session.js'
import { TrainingRunner } from '../../src/training/runner.js'

const side = 12
const batch = 8
const labels = [0, 1, 1, 1, 0, 1, 1, 1]
const random = createRandom('phase graphs')
const pixels = Uint8Array.from({ length: batch * side * side * 3 }, () => random.int(256))

/** Convolution with bias, batch norm, ReLU, mean, a dense layer with bias, ReLU, classifier. */
function build(dropout = 0) {
  const g = new GraphBuilder('phases')
  const values = (name: string, dims: number[], centre = 0) => {
    const count = dims.reduce((a, b) => a * b, 1)
    const data = Float32Array.from({ length: count }, () => centre + (random.next() - 0.5) * 0.8)
    return g.initializer(name, 'float32', dims, data)
  }
  g.input('data', 'float32', [1, 3, side, side])
  g.add('Conv', ['data', values('conv.w', [8, 3, 3, 3]), values('conv.b', [8])], {}, { outputs: ['conv'] })
  const norm = [values('gain', [8], 1), values('shift', [8]), values('mean', [8]), values('variance', [8], 1)]
  g.add('BatchNormalization', ['conv', ...norm], {}, { outputs: ['norm'] })
  g.add('Relu', ['norm'], {}, { outputs: ['relu'] })
  g.add('GlobalAveragePool', ['relu'], {}, { outputs: ['pooled'] })
  g.add('Flatten', ['pooled'], {}, { outputs: ['flat'] })
  g.add('Gemm', ['flat', values('fc.w', [6, 8]), values('fc.b', [6], 1)], { transB: 1 }, { outputs: ['fc'] })
  g.add('Relu', ['fc'], {}, { outputs: ['fc.relu'] })
  g.add('Gemm', ['fc.relu', values('out.w', [4, 6])], { transB: 1 }, { outputs: ['out'] })
  g.output('out', 'float32', [1, 4])
  const recipe = namedRecipe('torchvision', { width: side, height: side })
  return buildHeaded(decodeModel(encodeModel(g.model(13))), { recipe, outputs: 2, random: createRandom(1), dropout })
}
const plain = build()
const dropping = build(0.5)
const frozenToo = [headWeight, headBias]
const everything = ['conv.w', 'conv.b', 'gain', 'shift', 'fc.w', 'fc.b', ...frozenToo]

function graphs(options: Record<string, unknown>, training?: { momentum: number }) {
  const network = options.dropout ? dropping : plain
  const train = Array.from({ length: batch * 2 }, (_, i) => i)
  const roles = { train, select: [0], report: [0], sources: { select: '', report: '' } }
  const plan = planFinetune({
    network,
    card: training
      ? { training: { optimizer: 'SGD', learningRate: 0.1, schedule: 'step', source: 'made', ...training } }
      : {},
    backbone: { id: 'made', sha256: '0', recipe: 'torchvision' },
    dataset: { name: 'made', fingerprint: '0' },
    classes: ['a', 'b'],
    roles,
    options: parseOptions({ strategy: 'all', batchSize: batch, clipNorm: 0, ...options }),
    memoryBytes: 2 ** 33,
  })
  const [phase] = plan.phases
  return { plan, phase: phase!, ...buildPhaseGraphs(network, plan, phase!, { classCounts: [2, 6] }) }
}

const rate = 0.001
/** What one step takes off every variable of the loop, and what the step said. */
async function step(options: Record<string, unknown>, training?: { momentum: number }) {
  const built = graphs(options, training)
  const runner = await TrainingRunner.open(built.training)
  const before = runner.snapshot()
  runner.setRows({ data: pixels, labels })
  const said = await runner.run({ index: labels.map((_, i) => i), lr: [rate], seed: 0, epoch: 0 })
  const after = runner.snapshot()
  await runner.close()
  const moved = new Map([...before].map(([name, values]) => [name, values.map((v, i) => v - after.get(name)![i]!)]))
  return { ...built, before, moved, said }
}
const norm = (values: Iterable<number>) => Math.hypot(...values)
/** a = factor · b, up to the rounding of values about 1. */
function expectScaled(a: Float32Array, b: Float32Array, factor: number): void {
  a.forEach((value, i) => {
    expect(Math.abs(value - factor * b[i]!)).toBeLessThan(4e-7 + 1e-3 * Math.abs(value))
  })
}

describe('the graph of a phase', () => {
  // Nesterov's first step is 1 + momentum times the gradient; AdamW shrinks weights beside its step.
  it.each([
    ['sgd', 1.9],
    ['adamw', 1],
  ] as const)('%s: weight decay takes hold of weights, and spares biases and norms', async (optimizer, times) => {
    const decay = 0.5
    const [without, decayed] = await Promise.all([
      step({ optimizer, weightDecay: 0, headLrFactor: 3 }),
      step({ optimizer, weightDecay: decay, headLrFactor: 3 }),
    ])
    for (const name of everything) {
      const extra = decayed.moved.get(name)!.map((v, i) => v - without.moved.get(name)![i]!)
      if (!['conv.w', 'fc.w', headWeight].includes(name)) expect([name, norm(extra)]).toEqual([name, 0])
      else expectScaled(extra, decayed.before.get(name)!, times * rate * decay * (name === headWeight ? 3 : 1))
    }
  })

  it('moves each layer at its own rate: smaller towards the pixels, the new layer by its factor', async () => {
    const options = { optimizer: 'sgd', weightDecay: 0 }
    const [alike, scaled] = await Promise.all([
      step({ ...options, headLrFactor: 1 }),
      step({ ...options, headLrFactor: 5, depthLrFactor: 0.25 }),
    ])
    const factors = lrFactors(plain, scaled.phase, 0.25)
    // Of four layers the fourth is the new one.
    expect(factors.get('conv.w')).toBe(0.25)
    expect(factors.get('fc.b')).toBeCloseTo(0.25 ** (1 / 3), 10)
    expect(factors.get(headBias)).toBe(5)
    for (const name of everything) {
      expect(norm(alike.moved.get(name)!)).toBeGreaterThan(0)
      expectScaled(scaled.moved.get(name)!, alike.moved.get(name)!, factors.get(name)!)
    }
  })

  it('holds the norm of the whole gradient, and tells it as it was', async () => {
    const options = { optimizer: 'sgd', weightDecay: 0, headLrFactor: 1 }
    const [free, held, far] = await Promise.all([
      step(options),
      step({ ...options, clipNorm: 0.05 }),
      step({ ...options, clipNorm: 1e4 }),
    ])
    const whole = ({ moved }: Awaited<ReturnType<typeof step>>) =>
      norm(everything.flatMap((name) => [...moved.get(name)!]))
    expect(whole(free) / (1.9 * rate)).toBeCloseTo(free.said.norm[0]!, 2)
    expect(free.said.norm[0]).toBeGreaterThan(0.1)
    expect(whole(held) / (1.9 * rate)).toBeCloseTo(0.05, 3)
    expect(held.said.norm[0]).toBeCloseTo(free.said.norm[0]!, 5)
    for (const name of everything) expectScaled(far.moved.get(name)!, free.moved.get(name)!, 1)
  })

  it('accumulates: of two batches the first moves nothing', async () => {
    const built = graphs({ gradAccumSteps: 2, optimizer: 'adamw' })
    const runner = await TrainingRunner.open(built.training)
    runner.setRows({ data: pixels, labels })
    const once = () => runner.run({ index: labels.map((_, i) => i), lr: [rate], seed: 0, epoch: 0 })
    const weights = () => [...runner.snapshot().get('conv.w')!]
    const start = weights()
    await once()
    expect(weights()).toEqual(start)
    expect(norm(runner.snapshot().get('sum:conv.w')!)).toBeGreaterThan(0)
    expect(norm(runner.snapshot().get('mean:conv.w')!)).toBe(0)
    await once()
    expect(weights()).not.toEqual(start)
    expect(norm(runner.snapshot().get('sum:conv.w')!)).toBe(0)
    await runner.close()
    // Two times the same batch is that batch.
    const { moved } = await step({ optimizer: 'adamw' })
    expectScaled(
      Float32Array.from(start, (v, i) => v - weights()[i]!),
      moved.get('conv.w')!,
      1,
    )
  })

  it('from scratch: the momentum of the card', async () => {
    const options = { strategy: 'scratch', weightDecay: 0 }
    const [half, none] = await Promise.all([step(options, { momentum: 0.5 }), step(options, { momentum: 0 })])
    for (const name of everything) expectScaled(half.moved.get(name)!, none.moved.get(name)!, 1.5)
    expect([...none.moved.keys()].filter((name) => name.startsWith('momentum:'))).toEqual([])
  })

  it('carries statistics of batch norms that train, and of those above the boundary only', async () => {
    const statistics = (options: Record<string, unknown>) =>
      graphs(options).training.loopState.flatMap(({ kind, name }) => (kind === 'statistic' ? [name] : []))
    expect(statistics({})).toEqual([])
    expect(statistics({ batchNorm: 'train' })).toEqual(['mean', 'variance'])
    expect(statistics({ strategy: 'last', batchNorm: 'train' })).toEqual([])
    const { moved } = await step({ batchNorm: 'train' })
    expect(norm(moved.get('mean')!)).toBeGreaterThan(0.01)
  })

  it('balanced: a class counts by its rarity, label smoothing shares what is left', async () => {
    const { evaluation, input, training, said } = await step({ classWeight: 'balanced', labelSmoothing: 0.1 })
    const session = await openSession(encodeModel(evaluation))
    const { Tensor } = loadOrt()
    const feeds = training.loopState.flatMap(({ kind, name, dims }) =>
      kind === 'parameter' ? [[name, new Tensor('float32', training.initial.get(name)!, [...dims])] as const] : [],
    )
    const { logits } = await session.run({
      [input]: new Tensor('uint8', pixels, [batch, side, side, 3]),
      ...Object.fromEntries(feeds),
    })
    const z = Array.from(logits!.data as Float32Array)
    await closeSession(session)
    const weights = [2, 2 / 3]
    let [sum, mass] = [0, 0]
    labels.forEach((label, row) => {
      const total = Math.exp(z[2 * row]!) + Math.exp(z[2 * row + 1]!)
      for (const c of [0, 1])
        sum -= weights[c]! * (c === label ? 0.95 : 0.05) * Math.log(Math.exp(z[2 * row + c]!) / total)
      mass += weights[label]!
    })
    expect(said.loss[0]).toBeCloseTo(sum / mass, 4)
  })

  it.each([
    [{ optimizer: 'adamw' }, everything, ['mean', 'square']],
    [{ optimizer: 'sgd' }, everything, ['momentum']],
    [{ strategy: 'last', optimizer: 'adam', gradAccumSteps: 1 }, ['fc.w', 'fc.b', ...frozenToo], ['mean', 'square']],
    [{ strategy: 'head', optimizer: 'sgd', dropout: 0.5, mixup: 0.4 }, frozenToo, ['momentum']],
  ])('%j: what moves goes in and out of one Loop, the rest is inside; no op draws', (options, trained, slots) => {
    const { training, evaluation } = graphs(options)
    const graph = graphOf(training.model)
    const carried = trained.flatMap((name) => [name, ...slots.map((slot) => `${slot}:${name}`)]).sort()
    const named = (list: readonly { name: string }[], prefix: string) =>
      list.flatMap(({ name }) => (name.startsWith(prefix) ? [name.slice(prefix.length)] : [])).sort()
    expect(named(graph.input, 'in:')).toEqual(carried)
    expect(named(graph.output, 'out:')).toEqual(carried)
    const inner = (one: GraphProto): GraphProto[] => [
      one,
      ...one.node.flatMap(({ attribute }) => attribute.flatMap(({ g }) => (g ? inner(g) : []))),
    ]
    const all = [...inner(graph), ...inner(graphOf(evaluation))]
    const nodes: NodeProto[] = all.flatMap((one) => one.node)
    expect(nodes.filter(({ opType }) => opType === 'Loop')).toHaveLength(1)
    expect(nodes.filter(({ opType }) => /Random|Multinomial|Bernoulli/.test(opType))).toEqual([])
    expect(inner(graph).flatMap(({ node }) => node.filter(({ opType }) => opType === 'Dropout'))).toEqual([])
    // What is random comes in from outside.
    const { dropout = 0, mixup = 0 } = options as { dropout?: number; mixup?: number }
    const drawn = graph.input.map(({ name }) => name).filter((name) => /^(mask:|partner$|share$)/.test(name))
    expect(drawn).toHaveLength((dropout > 0 ? 1 : 0) + (mixup > 0 ? 2 : 0))
    expect(training.masks.map(({ rate: dropped }) => dropped)).toEqual(dropout > 0 ? [dropout] : [])
    const constants = new Set(inner(graph).flatMap(({ initializer }) => initializer.map(({ name }) => name)))
    for (const name of trained) expect(constants).not.toContain(name)
  })
})
