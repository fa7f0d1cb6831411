// The house's one rule of direction: a folder imports only from folders above it in its list (docs/architecture.md). It holds
// between the folders of src/ and, inside each, between its subfolders and files.
const layout = {
  src: [
    'base',
    'storage',
    'onnx',
    'runtime',
    'images',
    'datasets',
    'backbones',
    'embeddings',
    'training',
    'trainers',
    'classifiers',
    'evaluation',
    'finetune',
    'advisor',
    'explain',
    'bundle',
    'curate',
    'cluster',
    'report',
    'serve',
    'api',
    'cli',
  ],
  'src/onnx': ['generated', 'shapes', 'rewrites'],
  'src/images': ['recipe', 'resample', 'decode', 'prepare', 'augment', 'pool'],
  'src/datasets': ['formats', 'sources'],
  'src/embeddings': ['store', 'extract', 'exporters', 'importers'],
  'src/embeddings/extract': ['pipeline', 'image-decoder', 'prepare', 'extract', 'extract-images'],
  'src/training': ['gradients', 'optimizers', 'graph', 'runner'],
  'src/training/gradients': ['contract', 'rules', 'registry'],
  'src/trainers': [
    'contract',
    'params',
    'guards',
    'linalg',
    'preprocess',
    'calibration',
    'linear',
    'kernel',
    'trees',
    'neighbours',
    'mlp',
    'reference',
    'registry',
  ],
  'src/trainers/linear': ['solvers', 'model', 'linear-svm'],
  'src/trainers/trees': ['wasm', 'bins', 'growing', 'boosting', 'random-forest'],
  'src/evaluation': ['statistics', 'metrics', 'plan', 'fit', 'results', 'guards', 'run'],
  'src/finetune': ['plan', 'train', 'result', 'run'],
  'src/advisor': ['rules', 'evidence', 'advise'],
  'src/report': ['data', 'charts', 'shell', 'pages', 'report'],
  'src/api': ['shared', 'verbs', 'index'],
  'src/cli': ['commands', 'main'],
}

/** A folder, or a file of that name. */
const place = (folder, names) => `^${folder}/(${names.join('|')})(/|\\.ts$)`

const direction = Object.entries(layout).flatMap(([folder, names]) =>
  names.slice(0, -1).map((name, i) => ({
    name: `${folder}/${name}-imports-only-above`,
    severity: 'error',
    from: { path: place(folder, [name]) },
    to: { path: place(folder, names.slice(i + 1)) },
  })),
)

module.exports = {
  forbidden: [
    ...direction,
    {
      name: 'nobody-imports-the-index',
      severity: 'error',
      from: { path: '^src/.+/' },
      to: { path: '^src/index\\.ts$' },
    },
    {
      name: 'no-circular',
      // The parser cannot tell a type import inside braces from a value; only whole `import type` may go in circles.
      severity: 'error',
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
