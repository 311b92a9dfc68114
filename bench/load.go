package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// drive sends requests from a number of clients for a time, each on a
// connection of its own and one after the other, and returns how many a second
// were answered well. It reads and writes bytes and no more, so that the load
// takes as little of the machine as it can.
func drive(ctx context.Context, address string, clients int, length time.Duration, request func(client, n int) []byte) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	var answered atomic.Int64
	errs := make(chan error, clients)
	var wg sync.WaitGroup
	began := time.Now()
	for client := range clients {
		wg.Go(func() {
			c, err := dial(address)
			if err != nil {
				errs <- err
				return
			}
			defer c.conn.Close()
			for n := 0; ctx.Err() == nil; n++ {
				body, err := c.do(request(client, n))
				if err == nil && bytes.Contains(body, []byte(`"errors"`)) {
					err = fmt.Errorf("answer %s", body)
				}
				if err != nil {
					errs <- err
					return
				}
				answered.Add(1)
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return 0, err
	default:
	}
	return float64(answered.Load()) / time.Since(began).Seconds(), nil
}

// connection speaks just enough HTTP.
type connection struct {
	conn net.Conn
	r    *bufio.Reader
	body []byte
}

func dial(address string) (*connection, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &connection{conn: conn, r: bufio.NewReader(conn)}, nil
}

// do sends a request and returns the body of the answer, good until the next call.
func (c *connection) do(request []byte) ([]byte, error) {
	if _, err := c.conn.Write(request); err != nil {
		return nil, err
	}
	size := -1
	for line := 0; ; line++ {
		text, err := c.r.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		text = bytes.TrimRight(text, "\r\n")
		if line == 0 && !bytes.HasPrefix(text, []byte("HTTP/1.1 200")) {
			return nil, fmt.Errorf("status %s", text)
		}
		if len(text) == 0 {
			break
		}
		if name, value, _ := bytes.Cut(text, []byte(":")); strings.EqualFold(string(name), "Content-Length") {
			if size, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return nil, err
			}
		}
	}
	if size < 0 {
		return nil, errors.New("an answer without Content-Length")
	}
	if cap(c.body) < size {
		c.body = make([]byte, size)
	}
	_, err := io.ReadFull(c.r, c.body[:size])
	return c.body[:size], err
}

// once sends one request on a connection of its own.
func once(address string, request []byte) ([]byte, error) {
	c, err := dial(address)
	if err != nil {
		return nil, err
	}
	defer c.conn.Close()
	c.conn.SetDeadline(time.Now().Add(10 * time.Second))
	return c.do(request)
}

func get(path string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: bench\r\n\r\n")
}

// post makes a GraphQL request.
func post(token, query string, variables any) []byte {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		panic(err)
	}
	return postText(token, string(body))
}

// postText makes one of a body that is JSON already, for where each is another: the load
// is to take little of the machine. Our queries and names need no escapes.
func postText(token, body string) []byte {
	credentials := ""
	if token != "" {
		credentials = "Authorization: Bearer " + token + "\r\n"
	}
	return []byte("POST /graphql HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: " +
		strconv.Itoa(len(body)) + "\r\n" + credentials + "\r\n" + body)
}

const (
	meQuery    = `query Me { me { id version nickname gender birthday createdAt updatedAt avatar { url status } } }`
	loginQuery = `mutation Login($input: LoginInput!) { login(input: $input) { created user { id } tokens { accessToken accessTokenExpiresAt refreshToken refreshTokenExpiresAt } } }`
	setQuery   = `mutation Set($input: UpdateProfileInput!) { updateProfile(input: $input) { user { id version nickname } } }`
)

var runID = strconv.FormatInt(time.Now().UnixNano(), 36) // no two runs send the same code

var logins atomic.Int64

// returning is how many people each client stands for who come back: one person
// logs in now and then, not a hundred times a second.
const returning = 64

// login logs one of a client's people in once more.
func login(client, n int) []byte {
	return loginOf(fmt.Sprintf("p%s-%d-%d", runID, client, n%returning))
}

// firstLogin logs a new person in.
func firstLogin(int, int) []byte {
	return loginOf(fmt.Sprintf("p%s-new-%d", runID, logins.Load()))
}

func loginOf(person string) []byte {
	n := strconv.FormatInt(logins.Add(1), 10)
	return postText("", `{"query":"`+loginQuery+`","variables":{"input":{"code":"`+person+"~"+n+`","requestId":"request-`+n+`","device":"bench"}}}`)
}

// plain asks a limit, with a body as long as that of me.
var plainRequest = post(strings.Repeat("t", 380), meQuery, nil)

func plain(int, int) []byte { return plainRequest }

// signedIn has the tokens of as many users as there are clients.
type signedIn struct {
	tokens []string
	mes    [][]byte
}

func signIn(address string, clients int) (*signedIn, error) {
	s := &signedIn{}
	for client := range clients {
		body, err := once(address, loginOf(fmt.Sprintf("p%s-%d", runID, client)))
		if err != nil {
			return nil, err
		}
		var answer struct {
			Data struct {
				Login struct{ Tokens struct{ AccessToken string } }
			}
		}
		if err := json.Unmarshal(body, &answer); err != nil || answer.Data.Login.Tokens.AccessToken == "" {
			return nil, fmt.Errorf("login: answer %s", body)
		}
		token := answer.Data.Login.Tokens.AccessToken
		s.tokens = append(s.tokens, token)
		s.mes = append(s.mes, post(token, meQuery, nil))
		// A profile as people have it.
		if _, err := once(address, post(token, setQuery, map[string]any{"input": map[string]any{
			"nickname": "小明", "gender": "MALE", "birthday": "2001-02-03",
		}})); err != nil {
			return nil, err
		}
	}
	var all sync.WaitGroup
	failed := make(chan error, clients)
	for client := range clients { // what login repeats
		all.Go(func() {
			for n := range returning {
				if _, err := once(address, login(client, n)); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(failed)
	return s, <-failed
}

func (s *signedIn) me(client, _ int) []byte { return s.mes[client] }

func (s *signedIn) update(client, n int) []byte {
	return postText(s.tokens[client], `{"query":"`+setQuery+`","variables":{"input":{"nickname":"name `+strconv.FormatInt(time.Now().UnixNano(), 10)+`"}}}`)
}
