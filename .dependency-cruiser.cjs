// The house's one rule of direction: a room imports only rooms above it (docs/architecture.md).
const rooms = [
  'base',
  'onnx',
  'runtime',
  'images',
  'datasets',
  'backbones',
  'embeddings',
  'training',
  'trainers',
  'evaluation',
  'finetune',
  'advisor',
  'report',
  'cli',
]

const direction = rooms.slice(0, -1).map((room, i) => ({
  name: `${room}-imports-only-above`,
  severity: 'error',
  from: { path: `^src/${room}/` },
  to: { path: `^src/(${rooms.slice(i + 1).join('|')}|index\\.ts)` },
}))

module.exports = {
  forbidden: [
    ...direction,
    {
      name: 'no-circular',
      // A warning only: the swc parser cannot tell type imports, which may go in circles, from the others.
      severity: 'warn',
      from: { pathNot: 'generated' },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-dev-dependency',
      severity: 'error',
      from: { path: '^src/' },
      to: {
        dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'],
        pathNot: '^node_modules/(onnxruntime-common|@types)',
      },
    },
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    parser: 'swc',
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'types', 'default'],
      extensions: ['.ts', '.js', '.json'],
    },
  },
}
