# A stand-in for Homebrew: reads a formula, and installs it from a folder with the files that it names.
#
# usage: ruby brew.rb FORMULA FILES PYTHON CELLAR SYSTEM     SYSTEM: macos, linux-intel or linux-arm
# It prints what the formula names for that system, as JSON; with CELLAR "" it installs nothing.
require "digest"
require "fileutils"
require "json"
require "pathname"

FORMULA, FILES, PYTHON, CELLAR, SYSTEM = ARGV
Stand = Struct.new(:opt_bin)

class Download
  attr_reader :address, :digest

  def url(address, using:)
    raise "would be unpacked" unless using == :nounzip

    @address = address
  end

  def sha256(digest)
    @digest = digest
  end

  def on_macos = SYSTEM == "macos" && yield
  def on_linux = SYSTEM.start_with?("linux") && yield
  def on_intel = SYSTEM.end_with?("intel") && yield
  def on_arm = SYSTEM.end_with?("arm") && yield

  def stage(folder)
    file = Pathname(FILES)/File.basename(address)
    raise "#{file} is another" unless Digest::SHA256.file(file).hexdigest == digest

    FileUtils.cp(file, folder)
  end
end

class Formula
  @main = Download.new
  @resources = {}

  class << self
    attr_reader :main, :resources

    def inherited(formula)
      super
      formula.instance_variable_set(:@main, Download.new)
      formula.instance_variable_set(:@resources, {})
    end

    def [](_name) = Stand.new(Pathname(PYTHON))
    def resource(name, &block) = (resources[name] = Download.new).instance_eval(&block)
    def version(text = nil) = text ? @version = text : @version
    def desc(_text) = nil
    def homepage(_text) = nil
    def license(_text) = nil
    def depends_on(_name) = nil
    def test = nil

    %i[url sha256].each { |name| define_method(name) { |*words, **more| main.send(name, *words, **more) } }
    %i[on_macos on_linux on_intel on_arm].each { |name| define_method(name) { |&block| main.send(name, &block) } }
  end

  def libexec = Pathname(CELLAR)/"libexec"
  def buildpath = Pathname(CELLAR)/"build"
  def bin = self
  def resources = self.class.resources.values

  def system(*words)
    Kernel.system(*words.map(&:to_s), exception: true)
  end

  def install_symlink(*programs)
    FileUtils.mkdir_p("#{CELLAR}/bin")
    FileUtils.ln_s(programs.map(&:to_s), "#{CELLAR}/bin")
  end
end

load FORMULA
named = { "airlock" => Airlock.main, **Airlock.resources }
$stdout.puts(JSON.generate(named.transform_values { |each| [each.address, each.digest] }))
$stdout.flush
unless CELLAR.empty?
  formula = Airlock.new
  FileUtils.mkdir_p(formula.buildpath)
  Dir.chdir(formula.buildpath) do
    Airlock.main.stage(formula.buildpath)
    formula.install
  end
end
