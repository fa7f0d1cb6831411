import { describe, expect, it } from '@jest/globals'
import { createRandom } from '../../src/base/random.js'
import { encodeModel, GraphBuilder } from '../../src/onnx/build.js'
import { loadOrt } from '../../src/runtime/ort.js'
import { closeSession, openSession } from '../../src/runtime/session.js'
import { gradientRules } from '../../src/training/gradients/registry.js'
import { Differentiation } from '../../src/training/graph/differentiate.js'
import { prepareNetwork } from '../../src/training/network.js'
import { type GradientCase, gradientCases } from './gradient-cases.js'

/** Values spread over [-2, 2] (or [0.5, 2.5]) further apart than the step, so that no difference crosses a kink. */
function values(count: number, positive: boolean, seed: string, scale: number): Float32Array {
  const order = createRandom(seed).shuffled(Array.from({ length: count }, (_, i) => i))
  return Float32Array.from(order, (i) =>
    positive ? 0.5 + (2 * (i + 0.4)) / count : scale * (-1 + (2 * (i + 0.4)) / count),
  )
}

interface Built {
  readonly bytes: Uint8Array
  readonly feeds: Map<string, { dims: readonly number[]; data: Float32Array }>
}

/**
 * A graph with the op's variables as inputs, its outputs `y…`, the seeds `dy…` as inputs, and the gradients as outputs.
 */
function build(test: GradientCase): Built {
  // The op as a network whose variables are initializers; the input `rows` only gives the network its batch.
  const forward = new GraphBuilder('op', 'op:')
  const feeds: Built['feeds'] = new Map()
  forward.input('rows', 'float32', [1, 1])
  const names = test.inputs.map((input, i) => {
    if ('ints' in input) return forward.ints(input.ints)
    if ('floats' in input) return forward.floats(input.floats, input.dims)
    const count = input.variable.reduce((a, b) => a * b, 1)
    const scale = test.op === 'HardSwish' ? 4 : test.op === 'HardSigmoid' ? 3 : 2
    const data = values(count, input.positive ?? false, `${test.op}/${test.label}/${i}`, scale)
    forward.initializer(`x${i}`, 'float32', input.variable, data)
    feeds.set(`x${i}`, { dims: input.variable, data })
    return `x${i}`
  })
  const outputs = Array.from({ length: test.outputs ?? 1 }, (_, i) => `y${i}`)
  forward.addMany(test.op, names, test.attributes ?? {}, { outputs })
  for (const output of outputs) forward.output(output, 'float32', ['?'])
  const network = prepareNetwork(forward.model(17), 1)

  const g = new GraphBuilder('gradient')
  const wanted = new Set(feeds.keys())
  for (const [name, { dims }] of feeds) g.input(name, 'float32', dims)
  for (const [name, tensor] of network.initializers) if (!wanted.has(name)) g.initializers.push(tensor)
  const passes = new Differentiation(g, network, {
    wanted,
    batchStatistics: () => test.batchStatistics ?? false,
    mask: ({ shape, rate }) => {
      const count = shape.reduce((a, b) => a * b, 1)
      return g.floats(
        Array.from({ length: count }, (_, i) => (i % 3 === 0 ? 0 : 1 / (1 - rate))),
        shape,
      )
    },
  })
  passes.forward()
  const seeds = new Map<string, string>()
  for (const output of outputs) {
    const shape = network.shapes.get(output)!
    seeds.set(output, g.input(`d${output}`, 'float32', shape))
    const count = shape.reduce((a, b) => a * b, 1)
    feeds.set(`d${output}`, { dims: shape, data: values(count, false, `${test.op}/d${output}`, 1) })
    g.output(output, 'float32', shape)
  }
  for (const [name, gradient] of passes.backward(seeds)) {
    g.add('Identity', [gradient], {}, { outputs: [`grad_${name}`] })
    g.output(`grad_${name}`, 'float32', feeds.get(name)!.dims)
  }
  return { bytes: encodeModel(g.model(17, { 'com.microsoft': 1 })), feeds }
}

async function worstError(test: GradientCase): Promise<number> {
  const ort = loadOrt()
  const { bytes, feeds } = build(test)
  const session = await openSession(bytes)
  const run = () =>
    session.run(Object.fromEntries([...feeds].map(([name, { data, dims }]) => [name, new ort.Tensor(data, [...dims])])))
  const objective = async (): Promise<number> => {
    const result = await run()
    let sum = 0
    for (const [name, { data }] of feeds) {
      if (!name.startsWith('d')) continue
      const y = result[name.slice(1)]!.data as Float32Array
      for (let i = 0; i < y.length; i++) sum += y[i]! * data[i]!
    }
    return sum
  }
  const exact = await run()
  let worst = 0
  for (const [name, { data, dims }] of feeds) {
    if (name.startsWith('d')) continue
    const gradient = exact[`grad_${name}`]!
    expect(gradient.dims).toEqual([...dims])
    const got = Float32Array.from(gradient.data as Float32Array)
    const largest = got.reduce((m, x) => Math.max(m, Math.abs(x)), 1e-3)
    const step = 2 ** -8
    for (let i = 0; i < data.length; i += Math.max(1, Math.floor(data.length / 40))) {
      const held = data[i]!
      data[i] = held + step
      const above = await objective()
      data[i] = held - step
      const below = await objective()
      data[i] = held
      worst = Math.max(worst, Math.abs((above - below) / (2 * step) - got[i]!) / largest)
    }
  }
  await closeSession(session)
  return worst
}

describe('gradient rules against finite differences', () => {
  it('has a case for every rule', () => {
    expect([...new Set(gradientCases.map(({ op }) => op))].sort()).toEqual([...gradientRules.keys()].sort())
  })

  it.each(gradientCases.map((test) => [`${test.op}: ${test.label}`, test] as const))('%s', async (_name, test) => {
    expect(await worstError(test)).toBeLessThan(1e-3)
  })
})
