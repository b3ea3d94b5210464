// java Earn.java REFERENCE: one signed sale.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.Signature;
import java.security.spec.PKCS8EncodedKeySpec;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Base64;

public class Earn {
    public static void main(String[] arguments) throws Exception {
        String sale = """
            {"reference":"%s","occurred_at":"%s","outlet":"330","card":"%s","amount_minor":1250,"currency":"USD"}"""
            .formatted(arguments[0], Instant.now().truncatedTo(ChronoUnit.SECONDS), System.getenv("CARD"));
        HttpResponse<String> answer = post("/v1/accruals", sale);
        System.out.println(answer.statusCode() + " " + answer.body());
    }

    static HttpResponse<String> post(String path, String content) throws Exception {
        byte[] body = content.getBytes(StandardCharsets.UTF_8);
        URI url = URI.create(System.getenv("TESSERA_URL") + path);
        String digest = "sha-256=:" + base64(MessageDigest.getInstance("SHA-256").digest(body)) + ":";
        String parameters = "(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-type\" \"content-digest\")"
            + ";created=" + Instant.now().getEpochSecond()
            + ";keyid=\"" + System.getenv("TESSERA_KEY_ID") + "\";tag=\"loyalty-v1\"";
        String base = "\"@method\": POST\n"
            + "\"@authority\": " + url.getAuthority() + "\n"
            + "\"@path\": " + url.getRawPath() + "\n"
            + "\"@query\": ?\n"
            + "\"content-type\": application/json\n"
            + "\"content-digest\": " + digest + "\n"
            + "\"@signature-params\": " + parameters;
        Signature signature = Signature.getInstance("Ed25519");
        signature.initSign(privateKey(Path.of(System.getenv("TESSERA_KEY"))));
        signature.update(base.getBytes(StandardCharsets.US_ASCII));
        HttpRequest request = HttpRequest.newBuilder(url)
            .POST(HttpRequest.BodyPublishers.ofByteArray(body))
            .header("Content-Type", "application/json")
            .header("Content-Digest", digest)
            .header("Signature-Input", "sig1=" + parameters)
            .header("Signature", "sig1=:" + base64(signature.sign()) + ":")
            .build();
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        return client.send(request, HttpResponse.BodyHandlers.ofString());
    }

    static PrivateKey privateKey(Path pem) throws Exception {
        String text = Files.readString(pem).replaceAll("-----[A-Z ]+-----|\\s", "");
        return KeyFactory.getInstance("Ed25519").generatePrivate(
            new PKCS8EncodedKeySpec(Base64.getDecoder().decode(text)));
    }

    static String base64(byte[] bytes) {
        return Base64.getEncoder().encodeToString(bytes);
    }
}
