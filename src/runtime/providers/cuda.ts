import type { ExecutionProvider } from './contract.js'

export const cuda: ExecutionProvider = {
  id: 'cuda',
  title: 'NVIDIA CUDA',
  sessionProviders: ['cuda', 'cpu'],
  speedRank: 2,
  maxBatch: 128,
  fix: () =>
    'CUDA is an opt-in of onnxruntime-node on 64-bit Linux: with an NVIDIA driver, CUDA 12 and cuDNN 9 ' +
    'installed, run `ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node` (docs/gpu.md), or use ' +
    '--provider cpu.',
}
