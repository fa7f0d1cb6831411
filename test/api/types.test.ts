import { fileURLToPath } from 'node:url'
import { expect, it } from '@jest/globals'
import { missingTypes } from '../support/declarations.js'

it('every type that a public signature names is exported, and none is onnxruntime’s, Arrow’s or sharp’s', () => {
  const missing = missingTypes(fileURLToPath(new URL('../../dist/index.d.ts', import.meta.url)))
  // Names end at zod's `infer`, which writes types of schemas, and at the messages of ONNX's own schema.
  expect(missing.filter((line) => !/ zod#z$|Proto$|^ModelProto →/.test(line))).toEqual([])
})
