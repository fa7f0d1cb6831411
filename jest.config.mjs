// One configuration for every suite. FC7_SUITE chooses which files run: x.test.ts is the default suite, x.shared.test.ts needs
// ../shared, x.browser.test.ts a Chromium, x.torture.test.ts patience, x.parity.test.ts a Python with the reference library.
const suite = process.env.FC7_SUITE ?? 'test'
const named = ['shared', 'browser', 'torture', 'parity']

export default {
  testEnvironment: '<rootDir>/test/environment.cjs',
  roots: ['<rootDir>/test'],
  testMatch: [suite === 'test' ? '**/*.test.ts' : `**/*.${suite}.test.ts`],
  testPathIgnorePatterns: [
    '/node_modules/',
    ...(suite === 'test' ? named.map((name) => `\\.${name}\\.test\\.ts$`) : []),
  ],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/bench/'],
  transform: {
    '\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'es6' }, sourceMaps: 'inline' },
    ],
  },
  testTimeout: suite === 'test' ? 60_000 : 900_000,
  maxWorkers: 2,
}
