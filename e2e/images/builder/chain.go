// Package middleware chains interceptors of gRPC, the first of them outermost.
package middleware

import (
	"context"

	"google.golang.org/grpc"
)

// ChainUnaryServer makes one interceptor of several.
func ChainUnaryServer(all ...grpc.UnaryServerInterceptor) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, last grpc.UnaryHandler) (any, error) {
		next := last
		for i := len(all) - 1; i >= 0; i-- {
			each, inner := all[i], next
			next = func(ctx context.Context, req any) (any, error) { return each(ctx, req, info, inner) }
		}
		return next(ctx, req)
	}
}

// ChainStreamServer makes one interceptor of several.
func ChainStreamServer(all ...grpc.StreamServerInterceptor) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, last grpc.StreamHandler) error {
		next := last
		for i := len(all) - 1; i >= 0; i-- {
			each, inner := all[i], next
			next = func(srv any, stream grpc.ServerStream) error { return each(srv, stream, info, inner) }
		}
		return next(srv, stream)
	}
}

// ChainUnaryClient makes one interceptor of several.
func ChainUnaryClient(all ...grpc.UnaryClientInterceptor) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, last grpc.UnaryInvoker, options ...grpc.CallOption) error {
		next := last
		for i := len(all) - 1; i >= 0; i-- {
			each, inner := all[i], next
			next = func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, options ...grpc.CallOption) error {
				return each(ctx, method, req, reply, conn, inner, options...)
			}
		}
		return next(ctx, method, req, reply, conn, options...)
	}
}

// ChainStreamClient makes one interceptor of several.
func ChainStreamClient(all ...grpc.StreamClientInterceptor) grpc.StreamClientInterceptor {
	return func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, last grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
		next := last
		for i := len(all) - 1; i >= 0; i-- {
			each, inner := all[i], next
			next = func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, options ...grpc.CallOption) (grpc.ClientStream, error) {
				return each(ctx, desc, conn, method, inner, options...)
			}
		}
		return next(ctx, desc, conn, method, options...)
	}
}
