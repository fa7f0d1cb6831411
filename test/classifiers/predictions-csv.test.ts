import { expect, it } from '@jest/globals'
import { predictionsCsv } from '../../src/classifiers/predictions-csv.js'

it('guards cells that a spreadsheet would run, quotes what CSV must quote, and leaves numbers alone', () => {
  const row = {
    id: '=HYPERLINK("http://x")',
    path: '@sum.jpg',
    label: '+1',
    predicted: '-a,b',
    top: [
      { label: '-a,b', score: -0.5 },
      { label: 'plain = fine', score: 1e-7 },
    ],
    trainedOn: true,
  }
  expect(predictionsCsv([row, { ...row, id: '\tx', label: null, trainedOn: false }], 2)).toBe(
    [
      'id,path,label,predicted,trained_on,class_1,score_1,class_2,score_2',
      `"'=HYPERLINK(""http://x"")",'@sum.jpg,'+1,"'-a,b",yes,"'-a,b",-0.5,plain = fine,1e-7`,
      `'\tx,'@sum.jpg,,"'-a,b",no,"'-a,b",-0.5,plain = fine,1e-7`,
      '',
    ].join('\n'),
  )
})
