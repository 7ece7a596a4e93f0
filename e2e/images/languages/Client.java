import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import javax.net.ssl.HttpsURLConnection;

/** Asks a URL twice, by both clients of Java, and prints the answers. */
public class Client {
  public static void main(String[] words) throws Exception {
    String account = "Bearer " + System.getenv("GH_TOKEN");
    URI address = URI.create(words[0]);
    HttpRequest request = HttpRequest.newBuilder(address).header("Authorization", account).build();
    HttpResponse.BodyHandler<String> text = HttpResponse.BodyHandlers.ofString();
    System.out.println(HttpClient.newHttpClient().send(request, text).body());
    HttpsURLConnection connection = (HttpsURLConnection) address.toURL().openConnection();
    connection.setRequestProperty("Authorization", account);
    try (InputStream body = connection.getInputStream()) {
      System.out.println(new String(body.readAllBytes(), "UTF-8"));
    }
  }
}
