// Pump sends bytes through a relay and has them sent back, with the libp2p of this module's Kubo. Kubo itself lets nobody open streams of their own on
// circuits, whose bytes are counted.
//
//	pump reserve <way> <relay>              is reached at the relay, and sends back what comes, until its input ends
//	pump through <way> <relay> <peer> <n>   sends n bytes to that peer, and compares what comes back
//
// Both print one line of JSON: who they are, what was agreed on with the relay, and how long it took.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	libp2pwebrtc "github.com/libp2p/go-libp2p/p2p/transport/webrtc"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
	libp2pwebtransport "github.com/libp2p/go-libp2p/p2p/transport/webtransport"
	"github.com/multiformats/go-multiaddr"
)

const (
	echo     = "/test/bytes/1.0.0"
	patience = 5 * time.Minute
)

// The one way that a host knows, so that it has no choice.
func ways(name string) (libp2p.Option, error) {
	overNoise := libp2p.Security(noise.ID, noise.New)
	switch name {
	case "noise":
		return libp2p.ChainOptions(libp2p.Transport(tcp.NewTCPTransport), overNoise), nil
	case "tls":
		return libp2p.ChainOptions(libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(libp2ptls.ID, libp2ptls.New)), nil
	case "quic":
		return libp2p.ChainOptions(libp2p.Transport(libp2pquic.NewTransport), overNoise), nil
	case "ws":
		// The test's authority is known to nobody. Who the relay is, Noise shows.
		anybody := websocket.WithTLSClientConfig(&tls.Config{InsecureSkipVerify: true})
		return libp2p.ChainOptions(libp2p.Transport(websocket.New, anybody), overNoise), nil
	case "webrtc-direct":
		return libp2p.ChainOptions(libp2p.Transport(libp2pwebrtc.New), overNoise), nil
	case "webtransport":
		return libp2p.ChainOptions(libp2p.Transport(libp2pwebtransport.New), overNoise), nil
	}
	return nil, fmt.Errorf("no way is called %s", name)
}

func connected(ctx context.Context, way, relay string) (host.Host, *peer.AddrInfo, error) {
	transport, err := ways(way)
	if err != nil {
		return nil, nil, err
	}
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.EnableRelay(), transport, libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableMetrics())
	if err != nil {
		return nil, nil, err
	}
	info, err := peer.AddrInfoFromString(relay)
	if err != nil {
		return nil, nil, err
	}
	return h, info, h.Connect(ctx, *info)
}

func say(h host.Host, relay peer.ID, took time.Duration) error {
	connections := h.Network().ConnsToPeer(relay)
	if len(connections) != 1 {
		return fmt.Errorf("%d connections to the relay", len(connections))
	}
	state := connections[0].ConnState()
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"id":           h.ID().String(),
		"address":      connections[0].RemoteMultiaddr().String(),
		"security":     state.Security,
		"muxer":        state.StreamMultiplexer,
		"transport":    state.Transport,
		"milliseconds": took.Milliseconds(),
	})
}

func reserve(ctx context.Context, way, relay string) error {
	h, info, err := connected(ctx, way, relay)
	if err != nil {
		return err
	}
	defer h.Close()
	h.SetStreamHandler(echo, func(stream network.Stream) {
		if _, err := io.Copy(stream, stream); err != nil {
			_ = stream.Reset()
			return
		}
		_ = stream.Close()
	})
	if _, err := client.Reserve(ctx, h, *info); err != nil {
		return err
	}
	if err := say(h, info.ID, 0); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func through(ctx context.Context, way, relay, to, size string) error {
	total, err := strconv.Atoi(size)
	if err != nil {
		return err
	}
	h, info, err := connected(ctx, way, relay)
	if err != nil {
		return err
	}
	defer h.Close()
	circuit, err := multiaddr.NewMultiaddr(relay + "/p2p-circuit/p2p/" + to)
	if err != nil {
		return err
	}
	target, err := peer.AddrInfoFromP2pAddr(circuit)
	if err != nil {
		return err
	}
	ctx = network.WithAllowLimitedConn(ctx, "test")
	if err := h.Connect(ctx, *target); err != nil {
		return err
	}
	stream, err := h.NewStream(ctx, target.ID, echo)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := exchange(stream, total); err != nil {
		return err
	}
	return say(h, info.ID, time.Since(began))
}

func exchange(stream network.Stream, total int) error {
	pattern := make([]byte, 64*1024)
	for index := range pattern {
		pattern[index] = byte(index * 31 % 251)
	}
	piece := func(at int) []byte { return pattern[:min(len(pattern), total-at)] }
	sent := make(chan error, 1)
	go func() {
		for at := 0; at < total; at += len(pattern) {
			if _, err := stream.Write(piece(at)); err != nil {
				sent <- err
				return
			}
		}
		sent <- stream.CloseWrite()
	}()
	received := make([]byte, len(pattern))
	for at := 0; at < total; at += len(pattern) {
		expected := piece(at)
		if _, err := io.ReadFull(stream, received[:len(expected)]); err != nil {
			return fmt.Errorf("after %d bytes: %w", at, err)
		}
		if !bytes.Equal(received[:len(expected)], expected) {
			return fmt.Errorf("other bytes came back after %d", at)
		}
	}
	if count, err := stream.Read(received); count != 0 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("no end after the last byte: %w", err)
	}
	return <-sent
}

func run(arguments []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	switch {
	case len(arguments) == 3 && arguments[0] == "reserve":
		return reserve(ctx, arguments[1], arguments[2])
	case len(arguments) == 5 && arguments[0] == "through":
		return through(ctx, arguments[1], arguments[2], arguments[3], arguments[4])
	}
	return errors.New("usage: pump reserve <way> <relay> | pump through <way> <relay> <peer> <bytes>")
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pump:", err)
		os.Exit(1)
	}
}
