package headrace.rest;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;

import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.shaded.netty4.io.netty.channel.ChannelHandler;
import org.apache.flink.shaded.netty4.io.netty.channel.embedded.EmbeddedChannel;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.DefaultFullHttpRequest;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.FullHttpRequest;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.FullHttpResponse;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.HttpMethod;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.HttpVersion;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class OwnRequestsTest {
    /** A program of this machine, by any of its names, and Flink's own page. */
    @ParameterizedTest
    @CsvSource({
        ",",
        "127.0.0.1:8081,",
        "LocalHost:8081,",
        "[::1]:8081,",
        "127.0.0.1,",
        "127.0.0.1:8081,http://127.0.0.1:8081",
        "LocalHost:8081,http://localhost:8081"
    })
    void whatIsOwnGoesOn(String host, String origin) {
        FullHttpRequest request = request(host, origin);
        assertSame(request, channelWith(request).readInbound());
    }

    /** Another site's page, by another name of its own or by ours; the connection is closed. */
    @ParameterizedTest
    @CsvSource({
        "elsewhere.example,",
        "127.0.0.1.elsewhere.example:8081,",
        "localhost.elsewhere.example,",
        "0.0.0.0:8081,",
        "127.0.0.1:8081,http://elsewhere.example",
        "127.0.0.1:8081,http://127.0.0.1:8080",
        "127.0.0.1:8081,null",
        ",http://elsewhere.example"
    })
    void whatIsOfAnotherSiteIsRefused(String host, String origin) {
        FullHttpRequest request = request(host, origin);
        EmbeddedChannel channel = channelWith(request);
        FullHttpResponse response = channel.readOutbound();
        assertEquals(403, response.status().code());
        assertEquals(0, request.refCnt());
        assertFalse(channel.isOpen());
    }

    /** A cluster that has the operator among its own jars goes on as it does by itself. */
    @Test
    void noOtherApiIsGuarded() {
        assertEquals(true, new OwnRequests().createHandler(new Configuration(), Map.of()).isEmpty());
    }

    private static EmbeddedChannel channelWith(FullHttpRequest request) {
        Configuration configuration = new Configuration();
        configuration.setString(OwnRequests.OPTION, "true");
        ChannelHandler handler = new OwnRequests().createHandler(configuration, Map.of()).orElseThrow();
        EmbeddedChannel channel = new EmbeddedChannel(handler);
        channel.writeInbound(request);
        return channel;
    }

    private static FullHttpRequest request(String host, String origin) {
        FullHttpRequest request = new DefaultFullHttpRequest(HttpVersion.HTTP_1_1, HttpMethod.POST, "/jobs");
        if (host != null) {
            request.headers().set("Host", host);
        }
        if (origin != null) {
            request.headers().set("Origin", origin);
        }
        return request;
    }
}
