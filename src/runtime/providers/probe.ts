import { messageOf } from '../../base/errors.js'
import { encodeModel, GraphBuilder } from '../../onnx/build.js'
import { loadOrt } from '../ort.js'
import { closeSession, openSession } from '../session.js'
import type { ExecutionProvider, Trial } from './contract.js'
import { cpu } from './cpu.js'

/** conv → relu → pool on a ramp: small, but it touches what a CNN needs. */
function probeGraph(): Uint8Array {
  const g = new GraphBuilder('probe')
  g.input('x', 'float32', ['N', 2, 8, 8])
  const weights = Float32Array.from({ length: 3 * 2 * 3 * 3 }, (_, i) => Math.sin(i))
  g.initializer('w', 'float32', [3, 2, 3, 3], weights)
  const conv = g.add('Conv', ['x', 'w'], { pads: [1, 1, 1, 1] })
  const relu = g.add('Relu', [conv])
  g.add('GlobalAveragePool', [relu], {}, { outputs: ['y'] })
  g.output('y', 'float32', ['N', 3, 1, 1])
  return encodeModel(g.model())
}

async function runProbe(provider: ExecutionProvider): Promise<Float32Array> {
  const ort = loadOrt()
  const session = await openSession(probeGraph(), { providers: provider.sessionProviders })
  try {
    const x = Float32Array.from({ length: 2 * 2 * 8 * 8 }, (_, i) => Math.cos(i))
    const { y } = await session.run({ x: new ort.Tensor('float32', x, [2, 2, 8, 8]) })
    return y?.data as Float32Array
  } finally {
    await closeSession(session)
  }
}

/** Creates a session, runs a small graph and compares its numbers with the CPU's (1e-3 relative). */
export async function probeProvider(provider: ExecutionProvider): Promise<Trial> {
  try {
    const got = await runProbe(provider)
    const expected = provider === cpu ? got : await runProbe(cpu)
    const wrong = expected.some((value, i) => !(Math.abs(value - got[i]!) <= 1e-3 * Math.max(1, Math.abs(value))))
    if (wrong)
      return {
        works: false,
        reason: 'it gives other numbers than the CPU on a probe graph',
        fix: 'Update the GPU driver, or use --provider cpu.',
      }
    return { works: true }
  } catch (error) {
    const cause = (error as { cause?: unknown | undefined }).cause
    const reason = messageOf(cause ?? error).split('\n')[0] ?? ''
    return { works: false, reason, fix: provider.fix(reason) }
  }
}
