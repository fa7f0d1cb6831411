import type { ExecutionProvider } from './contract.js'

export const cpu: ExecutionProvider = {
  id: 'cpu',
  title: 'CPU',
  sessionProviders: ['cpu'],
  speedRank: 0,
  maxBatch: 32,
  fix: () =>
    'The CPU provider is part of onnxruntime-node: reinstall it (ONNXRUNTIME_NODE_INSTALL=skip npm install ' +
    'onnxruntime-node@1.30.0).',
}
