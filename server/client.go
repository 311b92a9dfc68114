package server

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clients finds out where requests come from.
type clients struct{ proxies []netip.Prefix }

// address returns the address of the client: the one that the connection comes
// from, or, when that is one of our proxies, the last in X-Forwarded-For that is
// none. What stands further left the client may have written itself. Of IPv6 it is
// the /64, which is what one client has. believed is false where there is an
// X-Forwarded-For, and the connection comes from no proxy of ours.
func (c clients) address(r *http.Request) (address netip.Addr, believed bool) {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, true
	}
	forwarded := r.Header["X-Forwarded-For"]
	address, believed = at.Addr().Unmap(), true
	if c.trusts(address) {
		address = c.forwarded(forwarded, address)
	} else {
		believed = len(forwarded) == 0
	}
	if address.Is6() {
		network, _ := address.WithZone("").Prefix(64)
		address = network.Addr()
	}
	return address, believed
}

// TrustsAll reports whether proxies has a network of all addresses: then every client is
// believed to be at the address that it says.
func TrustsAll(proxies []netip.Prefix) bool {
	return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Bits() == 0 })
}

// forwarded walks X-Forwarded-For from the right, beginning at a proxy of ours.
func (c clients) forwarded(headers []string, proxy netip.Addr) netip.Addr {
	for i := len(headers) - 1; i >= 0; i-- {
		rest := headers[i]
		for rest != "" {
			comma := strings.LastIndexByte(rest, ',')
			hop, ok := parseHop(strings.TrimSpace(rest[comma+1:]))
			if !ok {
				return proxy // nobody whom we trust wrote that
			}
			if !c.trusts(hop) {
				return hop
			}
			proxy, rest = hop, rest[:max(comma, 0)]
		}
	}
	return proxy
}

// parseHop reads an address, with or without a port.
func parseHop(text string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return a.Unmap(), true
	}
	if a, err := netip.ParseAddrPort(text); err == nil {
		return a.Addr().Unmap(), true
	}
	return netip.Addr{}, false
}

func (c clients) trusts(a netip.Addr) bool {
	for _, p := range c.proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// ParseProxies reads addresses and networks, as 10.0.0.0/8 or ::1.
func ParseProxies(texts []string) ([]netip.Prefix, error) {
	var proxies []netip.Prefix
	for i, text := range texts {
		text = strings.TrimSpace(text)
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a, failed := netip.ParseAddr(text)
			if failed != nil {
				return nil, fmt.Errorf("proxy %d is neither an address nor a network, as 10.0.0.0/8", i+1)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		proxies = append(proxies, p.Masked())
	}
	return proxies, nil
}
