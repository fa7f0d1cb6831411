import type { Inference } from './extract.js'

const candidates = [1, 4, 8, 16, 32]

/** A larger batch must be this much faster to be worth its memory. */
const gain = 1.02

/**
 * Measures which batch size runs most pictures a second and returns it; takes about two seconds with ResNet-50 on two cores.
 * The values of a store do not depend on it.
 */
export async function chooseBatch(inference: Inference, width: number, height: number): Promise<number> {
  const pixels = new SharedArrayBuffer(candidates.at(-1)! * width * height * 3)
  await inference.run(pixels, [1, height, width, 3])
  let best = { batch: 1, rate: 0 }
  for (const batch of candidates) {
    // Two runs: onnxruntime lays out its memory for a shape in the first.
    await inference.run(pixels, [batch, height, width, 3])
    const { milliseconds } = await inference.run(pixels, [batch, height, width, 3])
    const rate = batch / milliseconds
    if (rate > best.rate * gain) best = { batch, rate }
  }
  return best.batch
}
