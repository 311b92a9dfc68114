package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestEndUnderLoad ends the real program by SIGTERM while clients send requests
// and pictures. What the program began to answer it answers whole, says its log
// beside what the clients got; and whoever got no answer knows that nothing was
// begun: the connection was refused, or HTTP/2 said GOAWAY.
func TestEndUnderLoad(t *testing.T) {
	t.Parallel()
	certificate, trusted := serverCertificate(t)
	for _, mode := range []struct {
		name, scheme string
		protocol     int
	}{
		{"HTTP", "http", 1}, {"HTTPS by HTTP 1.1", "https", 1}, {"HTTPS by HTTP 2", "https", 2},
	} {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			var settings []string
			if mode.scheme == "https" {
				settings = certificate
			}
			c := startChild(t, t.TempDir(), settings...)
			e := &ending{t: t, origin: mode.scheme + "://" + c.address, protocol: mode.protocol, trusted: trusted, answered: map[string]bool{}}
			e.run(c)
		})
	}
}

// serverCertificate writes a certificate for 127.0.0.1 and returns the settings
// that make the program serve by it, and who trusts it.
func serverCertificate(t *testing.T) (settings []string, trusted *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(nil) // has one
	defer s.Close()
	key, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(kind string, der []byte) string {
		name := filepath.Join(dir, strings.ReplaceAll(kind, " ", "-"))
		if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	trusted = x509.NewCertPool()
	trusted.AddCert(s.Certificate())
	return []string{"MINIPROFILE_TLS_CERT=" + write("CERTIFICATE", s.Certificate().Raw), "MINIPROFILE_TLS_KEY=" + write("PRIVATE KEY", key)}, trusted
}

// ending is a program about to end and what its clients got.
type ending struct {
	t        *testing.T
	origin   string
	protocol int
	trusted  *x509.CertPool

	mu       sync.Mutex
	answered map[string]bool // the ids of requests whose whole answer came
	refused  map[string]int  // how those ended that were not begun
}

// idleBound is less than the time for which the program waits for idle
// connections. Who leaves one idle for longer may find it closed.
const idleBound = 2 * time.Second

func (e *ending) run(c *child) {
	const transports, users = 4, 4 // users share a transport, so by HTTP/2 a connection
	e.refused = map[string]int{}
	picture := photograph(e.t, 640, 480)
	var loaded, group sync.WaitGroup
	for n := range transports {
		client := e.client()
		for u := range users {
			loaded.Add(1)
			group.Go(func() { e.use(client, fmt.Sprintf("user-%d-%d", n, u), picture, loaded.Done) })
		}
	}
	loaded.Wait()
	// Pictures half sent, and connections that are open and idle, when the end comes.
	var halves []*half
	var idle []*http.Client
	for n := range 2 {
		client := e.client()
		token := e.login(client, fmt.Sprintf("half-%d", n))
		halves = append(halves, e.sendHalf(client, fmt.Sprintf("half-sent-%d", n), token, picture))
		idle = append(idle, e.client())
		e.login(idle[n], fmt.Sprintf("idle-%d", n))
	}
	if e.t.Failed() {
		return
	}
	signalled := time.Now()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		e.t.Fatal(err)
	}
	group.Wait() // each ends when it is refused, so nothing is accepted any more
	for n, client := range idle {
		request := e.request("", "application/json", strings.NewReader(`{"query":"{ me { id } }"}`))
		if _, err := e.do(client, request, fmt.Sprintf("idle-after-%d", n)); err != nil && time.Since(signalled) < idleBound {
			e.t.Errorf("on an idle connection: %v", err)
		}
	}
	for _, h := range halves {
		h.finish()
	}
	c.ended()
	e.compare(c.log.String())
}

// client makes a client with connections of its own.
func (e *ending) client() *http.Client {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: e.trusted}, Protocols: new(http.Protocols),
		MaxIdleConnsPerHost: 16, ExpectContinueTimeout: time.Minute,
	}
	transport.Protocols.SetHTTP1(e.protocol == 1)
	transport.Protocols.SetHTTP2(e.protocol == 2)
	e.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (e *ending) request(token, contentType string, body io.Reader) *http.Request {
	r, err := http.NewRequest("POST", e.origin+"/graphql", body)
	if err != nil {
		panic(err)
	}
	r.GetBody = nil // or the transport might send it again, and hide a failure
	r.Header.Set("Content-Type", contentType)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

// do sends a request. It returns an error where no answer came.
func (e *ending) do(client *http.Client, r *http.Request, id string) (body []byte, err error) {
	r.Header.Set("X-Request-Id", id)
	response, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	if err != nil {
		e.t.Errorf("%s: the answer broke off: %v", id, err)
		return nil, err
	}
	if response.ProtoMajor != e.protocol {
		e.t.Errorf("%s: answered by %s", id, response.Proto)
	}
	if response.Header.Get("X-Request-Id") == id {
		e.mu.Lock()
		e.answered[id] = true
		e.mu.Unlock()
	}
	if response.StatusCode != http.StatusOK {
		e.t.Errorf("%s: %d %s", id, response.StatusCode, body)
	}
	return body, nil
}

func (e *ending) login(client *http.Client, person string) (token string) {
	body, _ := json.Marshal(object{"query": loginText, "variables": object{"input": object{"code": person + "~1"}}})
	text, err := e.do(client, e.request("", "application/json", bytes.NewReader(body)), "login-"+person)
	var a answer
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	if err != nil || a.Data.Login.Tokens.AccessToken == "" {
		e.t.Errorf("login: %v %s", err, text)
	}
	return a.Data.Login.Tokens.AccessToken
}

// use sends requests of one user until the connection is refused. loaded is
// called when the first of all kinds were answered.
func (e *ending) use(client *http.Client, person string, picture []byte, loaded func()) {
	once := sync.OnceFunc(loaded)
	defer once()
	token := e.login(client, person)
	form, kind := pictureForm(picture)
	rename, _ := json.Marshal(object{"query": updateText, "variables": object{"input": object{"nickname": person}}})
	for n := 0; !e.t.Failed(); n++ {
		var r *http.Request
		want := `"nickname":`
		switch n % 8 {
		case 0:
			r, want = e.request(token, kind, bytes.NewReader(form)), `/avatars/`
		case 4:
			r = e.request(token, "application/json", bytes.NewReader(rename))
		default:
			r = e.request(token, "application/json", strings.NewReader(`{"query":"{ me { nickname } }"}`))
		}
		id := fmt.Sprintf("%s-%d", person, n)
		var w wire
		body, err := e.do(client, r.WithContext(httptrace.WithClientTrace(r.Context(), w.trace())), id)
		if err == nil && !bytes.Contains(body, []byte(want)) {
			e.t.Errorf("%s: %s", id, body)
		}
		if err != nil {
			how := e.judge(&w, err)
			e.mu.Lock()
			e.refused[how]++
			e.mu.Unlock()
			if how == "" {
				e.t.Errorf("%s on a connection idle for %v: %v", id, w.idle, err)
			}
			if how == "refused" {
				return
			}
		}
		if n == 8 {
			once()
		}
	}
}

// judge tells how a request without an answer was not begun; empty where it may have been.
func (e *ending) judge(w *wire, err error) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case e.protocol == 1 && w.wrote && w.reused && w.idle+time.Since(w.taken) < idleBound:
		return ""
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case e.protocol == 2 && strings.Contains(err.Error(), "GOAWAY"):
		return "GOAWAY"
	case e.protocol == 2 && strings.Contains(err.Error(), "cannot rewind body"):
		// The connection took no more requests when this one came, so net/http would
		// send it by another one, had it the body still. Of a request that was begun it
		// does not say that: a POST is not replayable.
		return "connection closing"
	case w.taken.IsZero(), e.protocol == 1 && (!w.reused || w.idle+time.Since(w.taken) >= idleBound):
		return "connection not taken" // by the program: the log has nothing of it
	}
	return ""
}

// wire is what became of a request's connection.
type wire struct {
	mu            sync.Mutex
	taken         time.Time     // when there was a connection
	idle          time.Duration // before that
	reused, wrote bool
}

func (w *wire) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.taken, w.idle, w.reused = time.Now(), info.IdleTime, w.reused || info.Reused
		},
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.wrote = w.wrote || info.Err == nil
		},
	}
}

func pictureForm(picture []byte) (form []byte, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	operations, _ := json.Marshal(object{"query": updateText, "variables": object{"input": object{"avatar": nil}}})
	w.WriteField("operations", string(operations))
	w.WriteField("map", `{"picture":["variables.input.avatar"]}`)
	file, _ := w.CreateFormFile("picture", "photo.jpg")
	file.Write(picture)
	w.Close()
	return b.Bytes(), w.FormDataContentType()
}

// half is an upload under way.
type half struct {
	e    *ending
	pipe *io.PipeWriter
	rest []byte
	done chan struct{}
}

// sendHalf sends the first half of a picture, of which the program has begun to read.
func (e *ending) sendHalf(client *http.Client, id, token string, picture []byte) *half {
	form, kind := pictureForm(picture)
	reader, writer := io.Pipe()
	h := &half{e, writer, form[len(form)/2:], make(chan struct{})}
	r := e.request(token, kind, reader)
	r.ContentLength = int64(len(form))
	r.Header.Set("Expect", "100-continue")
	begun := make(chan struct{})
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(begun) }}))
	go func() {
		defer close(h.done)
		body, err := e.do(client, r, id)
		if err != nil || !bytes.Contains(body, []byte("/avatars/")) {
			e.t.Errorf("%s: %v %s", id, err, body)
		}
		reader.CloseWithError(io.ErrClosedPipe)
	}()
	select {
	case <-begun:
	case <-h.done:
	}
	writer.Write(form[:len(form)/2])
	return h
}

func (h *half) finish() {
	h.pipe.Write(h.rest)
	h.pipe.Close()
	<-h.done
}

// compare holds the program's log against what the clients got.
func (e *ending) compare(log string) {
	logged := 0
	for line := range strings.Lines(log) {
		var entry struct {
			Msg, Request, Route string
			Status              int
		}
		if json.Unmarshal([]byte(line), &entry) != nil || entry.Msg != "request" || entry.Route != "/graphql" {
			continue
		}
		logged++
		if !e.answered[entry.Request] {
			e.t.Errorf("the program answered %s by %d, and no client got it", entry.Request, entry.Status)
		}
	}
	if logged != len(e.answered) || e.refused["refused"] == 0 {
		e.t.Errorf("%d requests in the log, %d answered; not begun: %v\n", logged, len(e.answered), e.refused)
	}
	e.t.Logf("%d requests answered; not begun: %v", logged, e.refused)
}
