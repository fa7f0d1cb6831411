import { describe, expect, it } from '@jest/globals'
import { buildExtractionGraph } from '../../src/backbones/extraction.js'
import { Fc7Error } from '../../src/base/errors.js'
import { createRandom } from '../../src/base/random.js'
import { namedRecipe } from '../../src/images/recipe/recipe.js'
import { encodeModel, GraphBuilder } from '../../src/onnx/build.js'
import { checkModel } from '../../src/onnx/check.js'
import type { ModelProto } from '../../src/onnx/generated/onnx_pb.js'
import { decodeModel } from '../../src/onnx/read.js'
import { inferShapes } from '../../src/onnx/shapes/shapes.js'
import { inOrder } from '../../src/onnx/walk.js'

/** A network of every kind of step that the extraction graph looks into, a few hundred bytes long. */
function network(): ModelProto {
  const b = new GraphBuilder('net')
  b.input('data', 'float32', [1, 3, 8, 8])
  b.initializer('w', 'float32', [4, 3, 3, 3], new Float32Array(108).fill(0.1))
  b.initializer('v', 'float32', [16, 5], new Float32Array(80).fill(0.1))
  b.initializer('shape', 'int64', [2], BigInt64Array.of(1n, 16n))
  b.initializer('pads', 'int64', [8], BigInt64Array.of(0n, 0n, 1n, 1n, 0n, 0n, 1n, 1n))
  b.add('Pad', ['data', 'pads'], {}, { outputs: ['p'] })
  b.add('MaxPool', ['p'], { kernel_shape: [2, 2], strides: [2, 2] }, { outputs: ['m'] })
  b.add('Conv', ['m', 'w'], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 0, 0] }, { outputs: ['c'] })
  b.add('LRN', ['c'], { size: 3 }, { outputs: ['n'] })
  b.add('Dropout', ['n'], {}, { outputs: ['d'] })
  b.add('Reshape', ['d', 'shape'], {}, { outputs: ['flat'] })
  b.add('Gemm', ['flat', 'v'], {}, { outputs: ['g'] })
  b.add('Softmax', ['g'], {}, { outputs: ['y'] })
  b.output('y', 'float32', [1, 5])
  return b.model(13)
}

const recipe = namedRecipe('keras-squash', { width: 8, height: 8 })

/** What comes of bytes: a graph, or an error that fc7 means to throw. Anything else is thrown on. */
function outcome(bytes: Uint8Array): 'built' | 'refused' {
  try {
    buildExtractionGraph(decodeModel(bytes), { recipe })
    return 'built'
  } catch (error) {
    if (error instanceof Fc7Error) return 'refused'
    throw error
  }
}

describe('hostile model files', () => {
  it('changed anywhere, a file is built or refused in words, never a crash', () => {
    const bytes = encodeModel(network())
    expect(outcome(bytes)).toBe('built')
    const random = createRandom('hostile')
    const counts = { built: 0, refused: 0 }
    for (let i = 0; i < 800; i++) {
      const changed = bytes.slice()
      for (let k = 0; k <= random.int(3); k++) changed[random.int(changed.length)] = random.int(256)
      counts[outcome(changed)]++
    }
    for (let i = 0; i < 100; i++) counts[outcome(bytes.subarray(0, random.int(bytes.length)))]++
    expect(counts.refused).toBeGreaterThan(150)
    expect(counts.built).toBeGreaterThan(30)
  })

  it('a chain of a hundred thousand nodes, in the worst order, overflows nothing', () => {
    const b = new GraphBuilder('chain')
    b.input('x0', 'float32', [1, 4])
    const count = 100_000
    for (let i = 0; i < count; i++) b.add('Relu', [`x${i}`], {}, { outputs: [`x${i + 1}`] })
    b.output(`x${count}`, 'float32', [1, 4])
    b.nodes.reverse()
    const model = b.model()
    checkModel(model)
    expect(inOrder(model.graph!)[0]!.input).toEqual(['x0'])
    expect(inferShapes(model).get(`x${count}`)?.shape).toEqual([1, 4])
  })
})
