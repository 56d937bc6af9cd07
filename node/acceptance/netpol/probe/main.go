// Command probe runs inside the pods of the network policy acceptance test. It serves its name on known ports, tries connections when told
// to over its control port, and, with TARGETS set, sends to them from its very first instruction on.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The ports the test knows.
var (
	tcpPorts = []string{"8080", "8081", "8082", "9090"}
	udpPorts = []string{"5353", "8080"}
)

const controlPort = "9999"

func main() {
	for _, target := range strings.Fields(os.Getenv("TARGETS")) {
		go flood(target)
	}
	p := &probe{held: map[string]net.Conn{}, heard: map[string]bool{}}
	for _, port := range tcpPorts {
		l, err := net.Listen("tcp4", ":"+port)
		if err != nil {
			log.Fatal(err)
		}
		go p.serveTCP(l)
	}
	for _, port := range udpPorts {
		c, err := net.ListenPacket("udp4", ":"+port)
		if err != nil {
			log.Fatal(err)
		}
		go p.serveUDP(c)
	}
	http.HandleFunc("/try", answer(p.try))
	http.HandleFunc("/dns", answer(p.dns))
	http.HandleFunc("/hold", answer(p.hold))
	http.HandleFunc("/ping", answer(p.ping))
	http.HandleFunc("/heard", answer(p.whoWasHeard))
	log.Fatal(http.ListenAndServe(":"+controlPort, nil))
}

// flood sends datagrams with our name and opens connections, as fast as a hasty pod would.
func flood(target string) {
	name := []byte(os.Getenv("NAME"))
	for {
		if c, err := net.Dial("udp4", target); err == nil {
			_, _ = c.Write(name) // a packet that cannot be sent is what the test hopes for
			_ = c.Close()
		}
		go func() {
			if c, err := net.DialTimeout("tcp4", target, time.Second); err == nil {
				_, _ = c.Write(name)
				_ = c.Close()
			}
		}()
		time.Sleep(5 * time.Millisecond)
	}
}

type probe struct {
	mu    sync.Mutex
	held  map[string]net.Conn
	heard map[string]bool
}

func (p *probe) hear(what []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard[string(what)] = true
}

// serveTCP greets, then echoes; what it hears first is remembered.
func (p *probe) serveTCP(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer func() { _ = c.Close() }()
			if _, err := fmt.Fprintln(c, "hello"); err != nil {
				return
			}
			buf := make([]byte, 256)
			for {
				n, err := c.Read(buf)
				if err != nil {
					return
				}
				p.hear(buf[:n])
				if _, err := c.Write(buf[:n]); err != nil {
					return
				}
			}
		}()
	}
}

func (p *probe) serveUDP(c net.PacketConn) {
	buf := make([]byte, 256)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			log.Fatal(err)
		}
		p.hear(buf[:n])
		_, _ = c.WriteTo(buf[:n], from) // an answer that cannot be sent shows at the asker
	}
}

func answer(do func(*http.Request) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, do(r)) }
}

// try says "ok" when the other end answered, "timeout" when nothing came back, else the error.
func (p *probe) try(r *http.Request) string {
	patience, err := time.ParseDuration(r.FormValue("patience"))
	if err != nil {
		return err.Error()
	}
	c, err := net.DialTimeout(r.FormValue("network"), r.FormValue("to"), patience)
	if err != nil {
		return verdict(err)
	}
	defer func() { _ = c.Close() }()
	if r.FormValue("connect") != "" {
		return "ok"
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return verdict(err)
	}
	if _, err := c.Write([]byte("x")); err != nil {
		return verdict(err)
	}
	_, err = c.Read(make([]byte, 16))
	return verdict(err)
}

// dns asks one server for one name.
func (p *probe) dns(r *http.Request) string {
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp4", r.FormValue("server"))
	}}
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	_, err := resolver.LookupHost(ctx, r.FormValue("name"))
	return verdict(err)
}

// hold opens a connection and keeps it for ping.
func (p *probe) hold(r *http.Request) string {
	c, err := net.DialTimeout("tcp4", r.FormValue("to"), 2*time.Second)
	if err != nil {
		return verdict(err)
	}
	if _, err := c.Read(make([]byte, 16)); err != nil {
		return verdict(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held[r.FormValue("to")] = c
	return "ok"
}

// ping sends one byte over the kept connection and waits for its echo.
func (p *probe) ping(r *http.Request) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.held[r.FormValue("to")]
	if !ok {
		return "no connection is held"
	}
	if err := c.SetDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		return verdict(err)
	}
	if _, err := c.Write([]byte("p")); err != nil {
		return verdict(err)
	}
	_, err := c.Read(make([]byte, 1))
	return verdict(err)
}

func (p *probe) whoWasHeard(*http.Request) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for n := range p.heard {
		names = append(names, n)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func verdict(err error) string {
	var timeout net.Error
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	default:
		return err.Error()
	}
}
