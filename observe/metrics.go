package observe

import (
	"context"
	"errors"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/miniprofile/miniprofile/auth"
)

// maxErrcodes bounds the errcodes that are told apart: WeChat has thousands, of
// which a server sees a dozen.
const maxErrcodes = 64

// Metrics counts what the server does. README.md has the table of them; a test
// compares the two. Any number of goroutines may use it.
type Metrics struct {
	registry *prometheus.Registry

	requests     *prometheus.CounterVec
	requestTime  *prometheus.HistogramVec
	inFlight     prometheus.Gauge
	pictures     *prometheus.CounterVec
	limited      *prometheus.CounterVec
	jobs         *prometheus.CounterVec
	jobTime      *prometheus.HistogramVec
	storeCalls   *prometheus.CounterVec
	storeTime    *prometheus.HistogramVec
	objectCalls  *prometheus.CounterVec
	objectTime   *prometheus.HistogramVec
	weChatCalls  *prometheus.CounterVec
	weChatTime   *prometheus.HistogramVec
	requestCells cells[request]
	workCells    cells[workEnd]
	errcodes     sync.Map // of the errcodes that are told apart
	errcodesLeft chan struct{}
}

// request is what requests are told apart by; workEnd the same of work.
type (
	request struct{ route, operation, code string }
	workEnd struct {
		Work
		result string
	}
)

// NewMetrics makes Metrics of a version.
func NewMetrics(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), errcodesLeft: make(chan struct{}, maxErrcodes)}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "miniprofile_" + name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	times := func(name, help string, labels ...string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "miniprofile_" + name, Help: help,
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, labels)
		m.registry.MustRegister(v)
		return v
	}
	m.requests = counter("requests_total", "Requests answered.", "route", "operation", "code")
	m.requestTime = times("request_duration_seconds", "Time from the head of a request to the end of its answer.", "route", "operation")
	m.inFlight = prometheus.NewGauge(prometheus.GaugeOpts{Name: "miniprofile_requests_in_flight", Help: "Requests that are being answered."})
	m.pictures = counter("pictures_total", "Requests that brought a picture.", "code")
	m.limited = counter("rate_limited_total", "Requests and calls refused for a limit.", "limit")
	for _, limit := range []string{"address", "address_in_flight", "login", "user", "app", "wechat", "load"} {
		m.limited.WithLabelValues(limit) // there from the start: else a rate misses the first
	}
	m.jobs = counter("jobs_total", "Jobs run.", "job", "result")
	m.jobTime = times("job_duration_seconds", "Time of a job.", "job")
	m.storeCalls = counter("store_calls_total", "Calls of the store.", "driver", "method", "result")
	m.storeTime = times("store_call_duration_seconds", "Time of a call of the store; of a scan, to its first record.", "driver", "method")
	m.objectCalls = counter("object_calls_total", "Calls of the objects.", "driver", "method", "result")
	m.objectTime = times("object_call_duration_seconds", "Time of a call of the objects; of a list, to its first object.", "driver", "method")
	m.weChatCalls = counter("wechat_calls_total", "Calls of WeChat's API.", "api", "errcode")
	m.weChatTime = times("wechat_call_duration_seconds", "Time of a call of WeChat's API.", "api")
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "miniprofile_build_info", Help: "Always 1; the version is its label.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	m.registry.MustRegister(m.inFlight, build)
	m.requestCells.find = func(r request) cell {
		return cell{m.requests.WithLabelValues(r.route, r.operation, r.code), m.requestTime.WithLabelValues(r.route, r.operation)}
	}
	m.workCells.find = func(w workEnd) cell {
		switch w.Of {
		case "store":
			return cell{m.storeCalls.WithLabelValues(w.Driver, w.Method, w.result), m.storeTime.WithLabelValues(w.Driver, w.Method)}
		case "objects":
			return cell{m.objectCalls.WithLabelValues(w.Driver, w.Method, w.result), m.objectTime.WithLabelValues(w.Driver, w.Method)}
		}
		return cell{m.weChatCalls.WithLabelValues(w.Method, w.result), m.weChatTime.WithLabelValues(w.Method)}
	}
	return m
}

// Began is told that a request begins.
func (m *Metrics) Began() { m.inFlight.Inc() }

// Answered is told that a request ended: its route, the field of the schema that
// it asked for, the code of its first error or nothing, and whether it brought a
// picture.
func (m *Metrics) Answered(route, operation, code string, picture bool, took time.Duration) {
	if code == "" {
		code = "OK"
	}
	m.inFlight.Dec()
	m.requestCells.of(request{route, operation, code}).add(took)
	if picture {
		m.pictures.WithLabelValues(code).Inc()
	}
}

// Limited is told that something was refused for a limit.
func (m *Metrics) Limited(limit string) { m.limited.WithLabelValues(limit).Inc() }

// JobDone is told of a job that was run.
func (m *Metrics) JobDone(job string, took time.Duration, err error) {
	outcome := "ok"
	switch {
	case errors.Is(err, auth.ErrJobDead):
		outcome = "dead"
	case err != nil:
		outcome = "error"
	}
	m.jobs.WithLabelValues(job, outcome).Inc()
	m.jobTime.WithLabelValues(job).Observe(took.Seconds())
}

// Watch is a Watch that counts.
func (m *Metrics) Watch(ctx context.Context, w Work) (context.Context, func(string)) {
	began := time.Now()
	return ctx, func(result string) {
		if w.Of == "wechat" {
			result = m.errcode(result)
		}
		m.workCells.of(workEnd{w, result}).add(time.Since(began))
	}
}

// errcode is code, or other when too many were seen before it.
func (m *Metrics) errcode(code string) string {
	if _, known := m.errcodes.Load(code); known {
		return code
	}
	select {
	case m.errcodesLeft <- struct{}{}:
		m.errcodes.Store(code, true)
		return code
	default:
		return "other"
	}
}

// Admin returns what the admin address serves: /metrics and /debug/pprof/. It
// shows the inside of the process, so clients must not reach it.
func (m *Metrics) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", http.NotFound) // a secret may be a flag
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}
