import type { CommandEntry } from '../command.js'

/**
 * Every command, in the order of `fc7 --help`. Only the one that runs is loaded: most of the start-up is what it
 * imports.
 */
export const commands: readonly CommandEntry[] = [
  {
    usage: 'demo',
    describe: 'The main job end to end on CIFAR-10: extract, compare, report',
    load: async () => (await import('./evaluation/demo.js')).demo,
  },
  {
    usage: 'models <action> [model]',
    describe: 'List, show, pull or import backbones, or list their layers',
    load: async () => (await import('./catalogue/models.js')).models,
  },
  {
    usage: 'datasets <action> [id]',
    describe: 'List, show or pull sample data sets',
    load: async () => (await import('./catalogue/datasets.js')).datasets,
  },
  {
    usage: 'extract <source>',
    describe: 'Turn images into a store of embeddings',
    load: async () => (await import('./stores/extract.js')).extract,
  },
  {
    usage: 'verify <store>',
    describe: 'Check every hash, count and value of a store',
    load: async () => (await import('./stores/verify.js')).verify,
  },
  {
    usage: 'merge <stores..>',
    describe: 'Join part stores of one extraction',
    load: async () => (await import('./stores/merge.js')).merge,
  },
  {
    usage: 'profile <model>',
    describe: 'Show where a backbone spends its time, by operator and layer',
    load: async () => (await import('./catalogue/profile.js')).profile,
  },
  {
    usage: 'export <store>',
    describe: 'Write embeddings for other tools',
    load: async () => (await import('./stores/export.js')).exportStore,
  },
  {
    usage: 'import <file>',
    describe: 'Make a store of embeddings computed elsewhere',
    load: async () => (await import('./stores/import.js')).importStore,
  },
  {
    usage: 'train <store>',
    describe: 'Fit a classifier on a store',
    load: async () => (await import('./classifiers/train.js')).train,
  },
  {
    usage: 'bundle <classifier>',
    describe: 'Join network and classifier into one ONNX file, from pixels to classes',
    load: async () => (await import('./classifiers/bundle.js')).bundle,
  },
  {
    usage: 'predict <classifier> <source>',
    describe: 'Classify images or the rows of a store',
    load: async () => (await import('./classifiers/predict.js')).predict,
  },
  {
    usage: 'finetune <source>',
    describe: 'Train a backbone further on labelled images',
    load: async () => (await import('./finetune/finetune.js')).finetune,
  },
  {
    usage: 'compare <sources..>',
    describe: 'Compare trainers fairly on stores or images',
    load: async () => (await import('./evaluation/compare.js')).compare,
  },
  {
    usage: 'report <evaluation>',
    describe: 'Write the offline report of an evaluation',
    load: async () => (await import('./evaluation/report.js')).report,
  },
  {
    usage: 'advise <source>',
    describe: 'Measure which kind of transfer learning the images need',
    load: async () => (await import('./evaluation/advise.js')).advise,
  },
  {
    usage: 'doctor',
    describe: 'What this machine has, and what to do about what is missing',
    load: async () => (await import('./catalogue/doctor.js')).doctor,
  },
]
