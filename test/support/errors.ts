/** The code of the QuorateError that `work` ends with; a success or any other error is told as such. */
export async function codeOf(work: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof work === 'function' ? work() : work);
    return 'nothing was thrown';
  } catch (error) {
    return (error as { code?: string }).code ?? `another error: ${String(error)}`;
  }
}
