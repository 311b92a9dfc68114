package wechat

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/auth"
)

var (
	discardLog = log.New(io.Discard, "", 0)
	oldTLS     = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
)

func pool(s *httptest.Server) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(s.Certificate())
	return p
}

// listen has h handle every connection to the address it returns, then closes it.
func listen(t testing.TB, h func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				h(conn)
			})
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return l.Addr().String()
}

// killer is a server that answers a few requests of each connection and, when
// it has read the next one, ends the connection in one of several ways.
type killer struct {
	keep  int                  // requests answered before
	death func(c *net.TCPConn) // then closed

	mu       sync.Mutex
	received map[string]int // requests by code
	killed   int
}

var deaths = map[string]func(*net.TCPConn){
	"silently":       func(*net.TCPConn) {},
	"reset":          func(c *net.TCPConn) { _ = c.SetLinger(0) },
	"half an answer": func(c *net.TCPConn) { fmt.Fprint(c, "HTTP/1.1 200 O") },
	"half a body": func(c *net.TCPConn) {
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
	},
}

func (k *killer) handle(conn net.Conn) {
	r := bufio.NewReader(conn)
	for i := 0; ; i++ {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		k.mu.Lock()
		k.received[req.URL.Query().Get("js_code")]++
		k.mu.Unlock()
		if i == k.keep {
			k.mu.Lock()
			k.killed++
			k.mu.Unlock()
			k.death(conn.(*net.TCPConn))
			return
		}
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(goodReply), goodReply)
	}
}

// TestCodeSentOnce is invariant 3: a code is sent to WeChat at most once, also
// when a connection dies that was used before.
func TestCodeSentOnce(t *testing.T) {
	t.Parallel()
	for name, death := range deaths {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := &killer{keep: 1, death: death, received: map[string]int{}}
			c := newClient(t, "http://"+listen(t, k.handle), time.Minute)
			if _, err := c.CodeToSession(t.Context(), testApp, "first"); err != nil {
				t.Fatal(err)
			}
			_, err := c.CodeToSession(t.Context(), testApp, "second")
			checkError(t, err, auth.ErrUpstream)
			k.mu.Lock()
			defer k.mu.Unlock()
			if k.killed != 1 {
				t.Error("the connection was not used again, so this shows nothing")
			}
			if want := map[string]int{"first": 1, "second": 1}; !maps.Equal(k.received, want) {
				t.Errorf("received %v", k.received)
			}
		})
	}
}

// TestPlainGetIsRepeated shows that TestCodeSentOnce can fail: the same server
// receives a GET without our body twice.
func TestPlainGetIsRepeated(t *testing.T) {
	t.Parallel()
	k := &killer{keep: 1, death: deaths["silently"], received: map[string]int{}}
	base := "http://" + listen(t, k.handle)
	c := &http.Client{Transport: &http.Transport{}}
	defer c.CloseIdleConnections()
	for _, code := range []string{"first", "second"} {
		resp, err := c.Get(base + "/?js_code=" + code)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.received["second"] != 2 {
		t.Errorf("received %v", k.received)
	}
}

func TestCodeSentOnceInACrowd(t *testing.T) {
	t.Parallel()
	k := &killer{keep: 3, death: deaths["reset"], received: map[string]int{}}
	c := newClient(t, "http://"+listen(t, k.handle), time.Minute)
	var all sync.WaitGroup
	for g := range 16 {
		all.Go(func() {
			for i := range 50 {
				_, _ = c.CodeToSession(context.Background(), testApp, fmt.Sprintf("%d-%d", g, i))
			}
		})
	}
	all.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.killed == 0 {
		t.Error("no connection was killed, so this shows nothing")
	}
	for code, n := range k.received {
		if n != 1 {
			t.Errorf("code %s was received %d times", code, n)
		}
	}
}

// TestOneConnection checks that what prevents repetition does not cost the
// connection, and that HTTP/2, which repeats on its own, stays off.
func TestOneConnection(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	conns := 0
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 {
			t.Errorf("spoke %s", r.Proto)
		}
		fmt.Fprint(w, goodReply)
	}))
	s.EnableHTTP2 = true
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			mu.Lock()
			conns++
			mu.Unlock()
		}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	c := newClient(t, s.URL, time.Minute)
	overNetwork(c).TLSClientConfig.RootCAs = pool(s)
	for range 20 {
		if _, err := c.CodeToSession(t.Context(), testApp, testCode); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if conns != 1 {
		t.Errorf("%d connections for 20 calls in a row", conns)
	}
}

// TestRequestOnTheWire pins the bytes: the body that forbids repetition must
// leave no trace of itself.
func TestRequestOnTheWire(t *testing.T) {
	t.Parallel()
	var got string
	addr := listen(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		for line := ""; line != "\r\n"; got += line {
			var err error
			if line, err = r.ReadString('\n'); err != nil {
				return
			}
		}
		got += fmt.Sprint(r.Buffered())
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(goodReply), goodReply)
	})
	if _, err := newClient(t, "http://"+addr, time.Minute).CodeToSession(t.Context(), testApp, "a b&c"); err != nil {
		t.Fatal(err)
	}
	want := "GET /sns/jscode2session?appid=" + testApp + "&grant_type=authorization_code&js_code=a+b%26c&secret=" + testSecret +
		" HTTP/1.1\r\nHost: " + addr + "\r\nUser-Agent: miniprofile\r\n\r\n0"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
