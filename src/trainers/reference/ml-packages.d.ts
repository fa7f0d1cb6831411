// The package carries no types of its own.
declare module 'ml-svm' {
  const SVM: unknown
  export default SVM
}
