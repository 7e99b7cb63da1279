package headrace.rest;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.io.network.netty.InboundChannelHandlerFactory;
import org.apache.flink.runtime.rest.FileUploadHandler;
import org.apache.flink.shaded.netty4.io.netty.buffer.ByteBuf;
import org.apache.flink.shaded.netty4.io.netty.buffer.Unpooled;
import org.apache.flink.shaded.netty4.io.netty.channel.ChannelFutureListener;
import org.apache.flink.shaded.netty4.io.netty.channel.ChannelHandler;
import org.apache.flink.shaded.netty4.io.netty.channel.ChannelHandlerContext;
import org.apache.flink.shaded.netty4.io.netty.channel.ChannelInboundHandlerAdapter;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.DefaultFullHttpResponse;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.FullHttpResponse;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.HttpHeaderNames;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.HttpHeaders;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.HttpRequest;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.HttpResponseStatus;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.HttpVersion;
import org.apache.flink.shaded.netty4.io.netty.util.ReferenceCountUtil;

/**
 * Keeps pages of other sites from the REST API of a Flink that runs in the process of its one job.
 *
 * <p>The API runs whatever job it is given, and has no logins. It listens on the loopback alone, which any page can send requests to
 * that somebody of this machine has open: a form's by its own name, with an {@code Origin}, and any where its name leads to 127.0.0.1
 * by then (DNS rebinding), with that name as {@code Host}. Flink finds this by its service file; a cluster whose configuration does not
 * have {@link #OPTION} goes on as it does by itself.
 */
public final class OwnRequests implements InboundChannelHandlerFactory {
    /** What the configuration of a Flink has for whose API this is. */
    public static final String OPTION = "headrace.rest.own-requests";

    private static final Pattern LOOPBACK = Pattern.compile("(localhost|127(\\.\\d{1,3}){3}|\\[::1])(:\\d{1,5})?");

    @Override
    public int priority() {
        return 0;
    }

    @Override
    public Optional<ChannelHandler> createHandler(Configuration configuration, Map<String, String> headers) {
        return Boolean.parseBoolean(configuration.getString(OPTION, "false")) ? Optional.of(new Check()) : Optional.empty();
    }

    /** Whether no page of another site sends a request with these headers; one without them is of no browser. */
    static boolean isOwn(HttpHeaders headers) {
        String host = headers.get(HttpHeaderNames.HOST);
        String origin = headers.get(HttpHeaderNames.ORIGIN);
        if (host != null && !LOOPBACK.matcher(host.toLowerCase(Locale.ROOT)).matches()) {
            return false;
        }
        return origin == null || origin.equalsIgnoreCase("http://" + host);
    }

    private static final class Check extends ChannelInboundHandlerAdapter {
        @Override
        public void channelRead(ChannelHandlerContext context, Object message) throws Exception {
            if (!(message instanceof HttpRequest request) || isOwn(request.headers())) {
                context.fireChannelRead(message);
                return;
            }
            ReferenceCountUtil.release(message);
            FileUploadHandler.getMultipartFileUploads(context).close();
            ByteBuf text = Unpooled.copiedBuffer("Flink's API here is for programs of this machine, and for its own page\n", UTF_8);
            FullHttpResponse response = new DefaultFullHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.FORBIDDEN, text);
            response.headers().set(HttpHeaderNames.CONTENT_LENGTH, text.readableBytes());
            context.writeAndFlush(response).addListener(ChannelFutureListener.CLOSE);
        }
    }
}
