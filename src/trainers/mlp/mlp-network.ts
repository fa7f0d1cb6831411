import { encodeModel, GraphBuilder } from '../../onnx/build.js'
import type { ModelProto } from '../../onnx/generated/onnx_pb.js'
import { loadOrt } from '../../runtime/ort.js'
import { closeSession, openSession } from '../../runtime/session.js'
import type { Matrix } from '../contract.js'

/** Weights of a perceptron: layer i maps `sizes[i]` to `sizes[i + 1]`; `weights[i]` is `[sizes[i], sizes[i + 1]]`. */
export interface MlpWeights {
  readonly sizes: readonly number[]
  readonly weights: readonly Float32Array[]
  readonly biases: readonly Float32Array[]
}

/** Rows scored at a time: bounds the memory of hidden layers. */
const rowsPerRun = 4096

const isHidden = (sizes: readonly number[], layer: number) => layer < sizes.length - 2

/** The network to train: `scale` times `x` `[N, D]` → ReLU layers with dropout → `logits`. */
export function trainingNetwork({ sizes, weights, biases }: MlpWeights, dropout: number, scale = 1): ModelProto {
  const g = new GraphBuilder('mlp', 'mlp.')
  let x = g.input('x', 'float32', ['N', sizes[0]!])
  if (scale !== 1) x = g.add('Mul', [x, g.floats(scale)])
  weights.forEach((values, i) => {
    const w = g.initializer(`w${i}`, 'float32', [sizes[i]!, sizes[i + 1]!], values)
    const b = g.initializer(`b${i}`, 'float32', [sizes[i + 1]!], biases[i]!)
    const hidden = isHidden(sizes, i)
    x = g.add('Gemm', [x, w, b], {}, hidden ? {} : { outputs: ['logits'] })
    if (!hidden) return
    x = g.add('Relu', [x])
    if (dropout > 0) x = g.add('Dropout', [x, g.floats(dropout)])
  })
  g.output('logits', 'float32', ['N', sizes.at(-1)!])
  return g.model(17)
}

/** Scores rows with weights that may change from call to call: they are inputs of its graph. */
export class MlpScorer {
  readonly #session: Awaited<ReturnType<typeof openSession>>
  readonly #sizes: readonly number[]

  private constructor(session: Awaited<ReturnType<typeof openSession>>, sizes: readonly number[]) {
    this.#session = session
    this.#sizes = sizes
  }

  static async open(sizes: readonly number[], threads: number): Promise<MlpScorer> {
    const g = new GraphBuilder('mlp', 'mlp.')
    let x = g.input('x', 'float32', ['N', sizes[0]!])
    for (let i = 0; i < sizes.length - 1; i++) {
      const w = g.input(`w${i}`, 'float32', [sizes[i]!, sizes[i + 1]!])
      const b = g.input(`b${i}`, 'float32', [sizes[i + 1]!])
      x = g.add('Gemm', [x, w, b])
      if (isHidden(sizes, i)) x = g.add('Relu', [x])
    }
    g.add('Softmax', [x], { axis: -1 }, { outputs: ['scores'] })
    g.output('scores', 'float32', ['N', sizes.at(-1)!])
    return new MlpScorer(await openSession(encodeModel(g.model(17)), { threads }), sizes)
  }

  /** Probabilities `[rows, classes]`. */
  async scores(x: Matrix, { weights, biases }: Omit<MlpWeights, 'sizes'>): Promise<Float32Array> {
    const { Tensor } = loadOrt()
    const classes = this.#sizes.at(-1)!
    const all = new Float32Array(x.rows * classes)
    for (let from = 0; from < x.rows; from += rowsPerRun) {
      const rows = Math.min(rowsPerRun, x.rows - from)
      const feeds: Record<string, InstanceType<typeof Tensor>> = {
        x: new Tensor('float32', x.data.subarray(from * x.cols, (from + rows) * x.cols), [rows, x.cols]),
      }
      for (let i = 0; i < this.#sizes.length - 1; i++) {
        feeds[`w${i}`] = new Tensor('float32', weights[i]!, [this.#sizes[i]!, this.#sizes[i + 1]!])
        feeds[`b${i}`] = new Tensor('float32', biases[i]!, [this.#sizes[i + 1]!])
      }
      all.set((await this.#session.run(feeds)).scores!.data as Float32Array, from * classes)
    }
    return all
  }

  close(): Promise<void> {
    return closeSession(this.#session)
  }
}
