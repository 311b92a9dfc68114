// stoppable is what GraphiQL can stop: an observable of the one result of work,
// which takes an AbortSignal. What was stopped tells nothing more.
export const stoppable = (work) => ({
  subscribe({ next, error, complete }) {
    const controller = new AbortController()
    const { signal } = controller
    const unlessStopped = (tell) => (value) => { if (!signal.aborted) tell(value) }
    work(signal).then(unlessStopped((result) => {
      next(result)
      complete()
    }), unlessStopped(error))
    return { unsubscribe: () => controller.abort() }
  },
})
