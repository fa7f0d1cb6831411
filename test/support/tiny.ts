import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { createRandom } from '../../src/base/random.js'
import { encodeModel, GraphBuilder } from '../../src/onnx/build.js'

/** Side of the tiny network's images, in pixels. */
export const tinySide = 32

/**
 * A small CNN with an fc7-like layer of 24 values and 3 classes, with seeded random weights: an ONNX file without card.
 * `first` is the op after its first convolution.
 */
export function tinyModel(first = 'Relu'): Uint8Array {
  const random = createRandom('tiny model')
  const weights = (count: number, scale: number): Float32Array =>
    Float32Array.from({ length: count }, () => random.normal() * scale)
  const g = new GraphBuilder('tiny')
  g.input('data', 'float32', [1, 3, tinySide, tinySide])
  g.initializer('conv1.w', 'float32', [8, 3, 3, 3], weights(8 * 27, 0.3))
  g.initializer('conv2.w', 'float32', [16, 8, 3, 3], weights(16 * 72, 0.2))
  g.initializer('fc7.w', 'float32', [24, 16 * 64], weights(24 * 1024, 0.05))
  g.initializer('fc8.w', 'float32', [3, 24], weights(72, 0.3))
  g.initializer('shape', 'int64', [2], BigInt64Array.from([1n, 1024n]))
  const conv1 = g.add('Conv', ['data', 'conv1.w'], { pads: [1, 1, 1, 1], strides: [2, 2] }, { outputs: ['conv1'] })
  const relu1 = g.add(first, [conv1], {}, { outputs: ['relu1'] })
  const conv2 = g.add('Conv', [relu1, 'conv2.w'], { pads: [1, 1, 1, 1], strides: [2, 2] }, { outputs: ['conv2'] })
  const relu2 = g.add('Relu', [conv2], {}, { outputs: ['relu2'] })
  const flat = g.add('Reshape', [relu2, 'shape'], {}, { outputs: ['flat'] })
  const fc7 = g.add('Gemm', [flat, 'fc7.w'], { transB: 1 }, { outputs: ['fc7'] })
  const relu7 = g.add('Relu', [fc7], {}, { outputs: ['relu7'] })
  const fc8 = g.add('Gemm', [relu7, 'fc8.w'], { transB: 1 }, { outputs: ['fc8'] })
  g.add('Softmax', [fc8], { axis: 1 }, { outputs: ['prob'] })
  g.output('prob', 'float32', [1, 3])
  return encodeModel(g.model(13))
}

export interface TinyImages {
  /** Images a class in each split. */
  readonly train: number
  readonly test: number
}

const colours: Readonly<Record<string, readonly [number, number, number]>> = {
  blue: [40, 60, 200],
  green: [50, 180, 60],
  red: [200, 50, 40],
}

/** Noisy images of three colours as PNG files, in train/<class> and test/<class> (without test: in <class>). */
export async function writeTinyImages(folder: string, { train, test }: TinyImages): Promise<void> {
  for (const [label, colour] of Object.entries(colours)) {
    for (const [split, count] of Object.entries({ train, test })) {
      if (count === 0) continue
      const into = test === 0 ? join(folder, label) : join(folder, split, label)
      await mkdir(into, { recursive: true })
      for (let i = 0; i < count; i++) {
        const random = createRandom(`${label} ${split} ${i}`)
        const [width, height] = [40 + random.int(20), 36 + random.int(20)]
        // The colours overlap, so that no classifier gets everything right.
        const data = Uint8Array.from({ length: width * height * 3 }, (_, j) =>
          Math.max(0, Math.min(255, colour[j % 3]! + random.normal() * 90)),
        )
        const png = await sharp(data, { raw: { width, height, channels: 3 } })
          .png()
          .toBuffer()
        await writeFile(join(into, `${i}.png`), png)
      }
    }
  }
}
