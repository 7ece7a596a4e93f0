class Airlock < Formula
  desc "Runs granted commands on the host, for containers that hold no credential"
  homepage "@REPOSITORY@"
  version "@VERSION@"
  license "Apache-2.0"

@DAEMON@
  depends_on "python@3.13"

@RESOURCES@
  def install
    python = Formula["python@3.13"].opt_bin/"python3.13"
    system python, "-m", "venv", "--without-pip", libexec
    resources.each { |resource| resource.stage(buildpath) }
    pip = [python, "-m", "pip", "--python=#{libexec}/bin/python", "install", "--only-binary=:all:"]
    system(*pip, "--require-hashes", "--requirement=requirements.txt")
    system(*pip, "--no-index", "--no-deps", *Dir["*.whl"])
    bin.install_symlink libexec/"bin/airlock", libexec/"bin/airlock-daemon"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/airlock --version")
  end
end
